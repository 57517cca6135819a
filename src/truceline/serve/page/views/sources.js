// The board of sources: what comes in, how late, what was refused and why, and who is silent since when.

import { el, fill } from "../dom.js";
import { duration, number, t, when } from "../text.js";
import { may } from "./may.js";
import { connection, empty, english, facts, failed, heading } from "./parts.js";

export const name = "sources";
export const title = "sources.title";
export const offered = (values) => values.session?.label === "mission";
export const selects = ["source"];
export const badge = (values) =>
  values.sources.filter((one) => one.state === "silent" || one.state === "refusing").length;

// What needs somebody first.
const ORDER = ["silent", "refusing", "waiting", "live", "finished"];

export function mount(element, state, api) {
  const above = el("div", {});
  const list = el("ul", { class: "board" });
  const total = el("p", { class: "soft" });
  const out = el("div", {});
  fill(element, heading(t("sources.title")), above, total, list, out);

  function show() {
    const { sources, outlets, session, selected } = state.get();
    fill(above, connection(state.get()));
    fill(
      out,
      outlets.map((one) =>
        el("p", { class: "soft" }, t("sources.outlet", { ...one, port: one.id.replace("tak:", "") })),
      ),
    );
    if (!may(session, "evidence") && !sources.length)
      return void fill(
        list,
        el("li", {}, failed({ status: session?.via === "anonymous" ? 401 : 403 }, undefined, session)),
      );
    if (!sources.length) return void fill(list, el("li", {}, empty(t("sources.none"), t("sources.none.do"))));
    const sum = (key) => sources.reduce((all, one) => all + (one[key] ?? 0), 0);
    fill(
      total,
      t("sources.total", {
        read: sum("read"),
        accepted: sum("accepted"),
        duplicates: sum("duplicates"),
        rejected: sum("rejected"),
      }),
    );
    const open = new Set([...list.querySelectorAll("details[open]")].map((one) => one.dataset.source));
    const sorted = [...sources].sort(
      (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.id.localeCompare(b.id),
    );
    fill(
      list,
      sorted.map((one) =>
        el("li", {}, card(one, open.has(one.id) || (selected?.kind === "source" && selected.id === one.id))),
      ),
    );
  }

  const card = (one, opened) =>
    el(
      "details",
      { class: `source ${one.state}`, open: opened, data: { source: one.id } },
      el(
        "summary",
        {},
        el("b", {}, one.id),
        el("span", { class: `lamp ${one.state}` }, t(`sources.${one.state}`)),
        one.silent_since
          ? el("span", { class: "silence" }, t("sources.since", { at: when(one.silent_since) }))
          : one.lag_s !== null && one.lag_s !== undefined
            ? el("span", {}, t("sources.lag", { time: duration(one.lag_s) }))
            : null,
        one.rejected > 0 && el("span", { class: "rejects" }, t("sources.rejects", { n: one.rejected })),
      ),
      facts(
        [t("sources.feed"), one.feed],
        [t("sources.release"), one.release && t(`label.short.${one.release}`)],
        [t("sources.read"), number(one.read ?? 0)],
        [t("sources.accepted"), number(one.accepted ?? 0)],
        [t("sources.duplicates"), number(one.duplicates ?? 0)],
        [t("sources.rejected"), number(one.rejected ?? 0)],
        [t("sources.last_received"), one.last_received_at && when(one.last_received_at, "whole")],
        [t("sources.last_at"), one.last_at && when(one.last_at, "whole")],
        [t("sources.waiting_bytes"), one.waiting_bytes ? number(one.waiting_bytes) : null],
      ),
      one.reasons?.length
        ? [
            el("p", { class: "soft" }, t("sources.reasons")),
            el(
              "ul",
              {},
              one.reasons.map((reason) => english(reason, "li")),
            ),
          ]
        : null,
    );

  const stops = [state.on(["sources", "outlets", "connection", "selected"], show)];
  api
    .sources?.()
    .catch(
      (error) =>
        error.status === 403 || error.status === 401 || fill(above, failed(error, undefined, state.get().session)),
    );
  show();
  const chosen = state.get().selected;
  if (chosen?.kind === "source")
    list.querySelector(`[data-source="${CSS.escape(chosen.id)}"]`)?.scrollIntoView?.({ block: "nearest" });
  return () => stops.forEach((stop) => stop());
}
