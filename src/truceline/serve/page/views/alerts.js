// Alerts: what the watch is told. Seen, heard if wished, acknowledged; taken back as plainly as raised.

import { el, fill } from "../dom.js";
import { duration, t, when } from "../text.js";
import { keys } from "./keys.js";
import { may } from "./may.js";
import { connection, empty, english, failed, heading, loading, probability, severity, time } from "./parts.js";
import { say } from "./say.js";

export const name = "alerts";
export const title = "alerts.title";
/** Alerts are the watch's; whoever is not of the mission has none. */
export const offered = (values) => values.session?.label === "mission";
export const badge = (values) => values.alerts.filter(open).length;

/** Whether somebody still has to look at it: it stands, or was taken back, and nobody has acknowledged it. */
export const open = (alert) => !alert.acknowledged_by;

/** Raised, changed, withdrawn ... and acknowledged apart from these: an alert can be both. */
const stateOf = (alert) => (alert.state === "acknowledged" ? "raised" : alert.state);

/** Unseen and grave first, then the newest. */
export function ordered(alerts) {
  const rank = (one) => (open(one) ? 0 : 2) + (one.severity === "grave" && one.state !== "withdrawn" ? 0 : 1);
  return [...alerts].sort((a, b) => rank(a) - rank(b) || String(b.received_at).localeCompare(String(a.received_at)));
}

/**
 * One alert, whole.
 * @param {any} alert
 * @param {{href: string | null, acknowledge: ((alert: any) => void) | null}} how
 */
export function card(alert, { href, acknowledge }) {
  const state = stateOf(alert);
  return el(
    "li",
    {
      class: `alert ${state} ${alert.severity ?? "notice"} ${open(alert) ? "open" : "seen"}`,
      data: { alert: alert.alert_id },
    },
    el(
      "p",
      { class: "first" },
      alert.what === "silence"
        ? el("span", { class: "severity silence" }, t("alerts.silence"))
        : severity(alert.severity ?? "minor"),
      el("b", { class: "state-word" }, t(`alerts.${state}`)),
      alert.p_breach !== null && alert.p_breach !== undefined && probability(alert.p_breach),
      el("span", { class: "when" }, time(alert.at ?? alert.raised_at)),
    ),
    english(alert.sentence, "p", { class: state === "withdrawn" ? "sentence withdrawn" : "sentence" }),
    alert.reason &&
      el(
        "p",
        { class: "soft" },
        t(`alerts.why.${state === "withdrawn" ? "withdrawn" : "changed"}`),
        " ",
        english(alert.reason),
      ),
    el(
      "p",
      { class: "buttons" },
      href && el("a", { href, class: "button" }, t("alerts.open")),
      open(alert) &&
        acknowledge &&
        el("button", { type: "button", on: { click: () => acknowledge(alert) } }, t("alerts.acknowledge")),
      !open(alert) &&
        el(
          "span",
          { class: "soft" },
          t("alerts.acknowledged_by", { name: alert.acknowledged_by, at: when(alert.acknowledged_at) }),
        ),
      el("span", { class: "soft" }, t("alerts.raised_at", { at: when(alert.raised_at) })),
    ),
  );
}

/** Where an alert leads: its finding, its source, or nowhere. */
export const href = (alert) =>
  alert.finding_id
    ? `#alerts/finding/${alert.finding_id}`
    : alert.source
      ? `#sources/source/${encodeURIComponent(alert.source)}`
      : null;

/** Acknowledge, with the words a person may add; gives what went wrong, or null. */
export async function acknowledge(api, alert, text = "") {
  await api.post(`/api/alerts/${alert.alert_id}/acknowledge`, { text });
  say(t("alerts.acknowledged"));
  await api.alerts();
}

export function mount(element, state, api) {
  const session = state.get().session;
  const above = el("div", {});
  const list = el("ol", { class: "alerts", data: { arrows: "" } });
  const count = el("span", { class: "count" });
  const withdrawn = el("input", { type: "checkbox", name: "seen", on: { change: () => show() } });
  fill(
    element,
    heading(t("alerts.title"), count),
    el("p", { class: "soft" }, t("alerts.what")),
    el("label", { class: "here" }, withdrawn, t("alerts.show_seen")),
    above,
    list,
  );

  const take = async (alert) => {
    try {
      await acknowledge(api, alert);
      list.querySelector("li.open button, li a")?.focus();
    } catch (error) {
      fill(
        above,
        failed(error, () => take(alert), session),
      );
    }
  };

  function show() {
    const values = state.get();
    fill(above, connection(values));
    const all = ordered(values.alerts);
    const shown = withdrawn.checked ? all : all.filter(open);
    const opened = all.filter(open);
    const longest = opened.length
      ? Math.max(...opened.map((one) => (values.picture.at ?? new Date()).getTime() - Date.parse(one.raised_at)))
      : 0;
    fill(
      count,
      t("alerts.count", { n: opened.length }),
      longest > 60_000 ? `, ${t("alerts.longest", { time: duration(longest / 1000) })}` : "",
    );
    const held = list.contains(document.activeElement) ? document.activeElement?.closest("li")?.dataset.alert : null;
    fill(
      list,
      shown.map((one) => card(one, { href: href(one), acknowledge: may(session, "acknowledge") ? take : null })),
    );
    if (held) list.querySelector(`[data-alert="${held}"] a, [data-alert="${held}"] button`)?.focus();
    if (!shown.length)
      fill(
        list,
        el(
          "li",
          { class: "none" },
          values.connection === "connecting" ? loading() : empty(t("alerts.none"), t("alerts.none.do")),
        ),
      );
  }

  const move = (by) => {
    const all = [...list.querySelectorAll("li.alert")];
    const at = all.findIndex((one) => one.contains(document.activeElement));
    all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))]?.querySelector("a, button")?.focus();
  };
  const stops = [
    keys({
      j: () => move(1),
      k: () => move(-1),
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      q: () => document.activeElement?.closest("li.alert")?.querySelector("button")?.click(),
    }),
    state.on(["alerts", "connection"], show),
  ];
  show();
  return () => stops.forEach((stop) => stop());
}
