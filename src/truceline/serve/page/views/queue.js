// The queue of findings by urgency: what waits for a person, the gravest first.

import { el, fill } from "../dom.js";
import { t } from "../text.js";
import { inTurn } from "../turns.js";
import { actOnAll, listed } from "./doing.js";
import { filterForm } from "./filters.js";
import { keys } from "./keys.js";
import { known, may } from "./may.js";
import { connection, empty, failed, heading, loading, scope } from "./parts.js";
import { line } from "./row.js";
import { say } from "./say.js";
import { Ordered } from "./ordered.js";
import { bounds, turn } from "./urgency.js";

export const name = "queue";
export const title = "queue.title";

/** Rows at once: what a tablet scrolls without effort; the rest is a page away. */
const PAGE = 50;
const GATHER_MS = 300;
// Where somebody was, for when they come back from a finding.
const kept = { page: 0, chosen: new Set(), key: "", filters: "" };

/** Bring a list's elements into an order, touching only those that are other than before. */
function arrange(list, items) {
  const wanted = new Set(items);
  for (const one of [...list.children]) if (!wanted.has(one)) one.remove();
  items.forEach((one, i) => list.children[i] !== one && list.insertBefore(one, list.children[i] ?? null));
}

export function mount(element, state, api) {
  const ordered = new Ordered();
  let trouble = null;
  let gather = 0;
  const session = state.get().session;
  const triage = may(session, "triage");
  const me = known(session) ? session.name : null;
  const drawn = new Map();
  const form = filterForm(state, () => bounds(state.get().map, document.getElementById("map")));
  const list = el("ol", { class: "rows", data: { arrows: "" } });
  const count = el("span", { class: "count", "aria-live": "polite" });
  const above = el("div", {});
  const bulk = el("div", { class: "bulk", role: "group", "aria-label": t("bulk.title") });
  const pages = el("nav", { class: "pages", "aria-label": t("queue.pages") });
  fill(
    element,
    heading(t("queue.title"), count),
    above,
    form.element,
    el("details", { class: "order" }, el("summary", {}, t("queue.order")), el("p", {}, t("queue.order.rule"))),
    bulk,
    list,
    pages,
  );

  function work() {
    const values = state.get();
    const { made, whole } = ordered.make(values.picture);
    form.refresh(made, whole, values, me);
    show();
  }

  function filter() {
    const { filters } = state.get();
    const now = JSON.stringify(filters);
    if (now !== kept.filters) Object.assign(kept, { filters: now, page: 0 });
    ordered.filter(filters, me);
    work();
  }

  /** The picture may change many times a second; people read a list a few times a second at most. */
  function soon({ picture }) {
    ordered.hear(picture);
    gather ||= window.setTimeout(() => ((gather = 0), inTurn("queue", () => element.isConnected && work())), GATHER_MS);
  }

  function show() {
    const values = state.get();
    fill(above, connection(values), scope(session));
    const { shown } = ordered;
    const waiting = shown.filter((row) => turn(row) === 0).length;
    const told = t("queue.count", { n: shown.length });
    const more = session?.label === "mission" ? `, ${t("queue.waiting", { n: waiting })}` : "";
    if (count.textContent !== told + more) fill(count, told + more);
    const last = Math.max(0, Math.ceil(shown.length / PAGE) - 1);
    kept.page = Math.min(kept.page, last);
    const held = list.contains(document.activeElement) ? document.activeElement?.closest("li") : null;
    const within = held && document.activeElement?.matches("input") ? "input" : "a";
    const now = (values.picture.at ?? new Date()).getTime();
    const part = shown.slice(kept.page * PAGE, (kept.page + 1) * PAGE);
    const items = part.map((row) =>
      item(row, { values, href: href(row), chosen: kept.chosen.has(row.key), choose: triage ? choose : null, now }),
    );
    arrange(list, items);
    list.start = kept.page * PAGE + 1;
    if (held)
      list
        .querySelector(`[data-key="${CSS.escape(kept.key)}"]`)
        ?.closest("li")
        .querySelector(within)
        ?.focus();
    if (!part.length) fill(list, el("li", { class: "none" }, nothing(values)));
    const turned = `${kept.page} ${last}`;
    if (pages.dataset.now !== turned) fill(pages, last > 0 && pager(last));
    pages.dataset.now = turned;
    showBulk();
  }

  /** A row's element: the one there is, when it would say the same. A picture changes each second, its list seldom. */
  function item(row, how) {
    const about = `${how.chosen} ${Math.floor(how.now / 60_000)}`;
    const made = drawn.get(row.key);
    if (made?.about === about && (made.row === row || made.said === JSON.stringify(row))) {
      const link = made.element.querySelector("a.open");
      if (link.getAttribute("href") !== how.href) link.setAttribute("href", how.href); // the map moved
      return made.element;
    }
    if (drawn.size > 4 * PAGE) drawn.clear();
    const element = line(row, how);
    drawn.set(row.key, { row, about, said: JSON.stringify(row), element });
    return element;
  }

  function nothing(values) {
    if (trouble) return failed(trouble, fetchCases, session);
    const closed = !known(session) && values.mission && !values.mission.centre; // to whoever has not signed in
    if (closed) return empty(t("state.signin.do"));
    if (values.picture.revision === null)
      return values.connection === "offline" ? empty(t("state.unreachable")) : loading();
    if (ordered.rows.size) return empty(t("queue.none_match"), t("queue.none_match.do"));
    if (!known(session)) return empty(t("queue.none_public"), session?.hint || t("queue.none_public.do"));
    return session?.label === "mission"
      ? empty(t("queue.none"), t("queue.none.do"))
      : empty(t("queue.none_released"), t("queue.none_released.do"));
  }

  const href = (row) =>
    `#${name}/finding/${row.id}${location.hash.includes("?") ? `?${location.hash.split("?")[1]}` : ""}`;

  function pager(last) {
    const go = (page) => () => {
      Object.assign(kept, { page, key: "" });
      show();
      list.querySelector("a")?.focus();
    };
    return [
      el("button", { type: "button", disabled: kept.page === 0, on: { click: go(kept.page - 1) } }, t("queue.before")),
      el("span", {}, t("queue.page", { page: kept.page + 1, of: last + 1 })),
      el(
        "button",
        { type: "button", disabled: kept.page === last, on: { click: go(kept.page + 1) } },
        t("queue.after"),
      ),
    ];
  }

  function choose(row, on) {
    if (on) kept.chosen.add(row.key);
    else kept.chosen.delete(row.key);
    kept.key = row.key;
    list
      .querySelector(`[data-key="${CSS.escape(row.key)}"]`)
      ?.closest("li")
      .classList.toggle("chosen", on);
    showBulk();
  }

  function showBulk() {
    const rows = chosenRows();
    bulk.hidden = !rows.length;
    if (!rows.length) return void fill(bulk);
    const button = (text, what, fields) =>
      el("button", { type: "button", on: { click: () => doAll(rows, what, fields) } }, text);
    fill(
      bulk,
      el("span", {}, t("bulk.chosen", { n: rows.length })),
      button(t("action.triage"), "triage"),
      button(t("action.assign_me"), "assign", { assignee: me }),
      button(t("action.investigate"), "investigate"),
      el(
        "button",
        { type: "button", class: "quiet", on: { click: () => (kept.chosen.clear(), show()) } },
        t("bulk.clear"),
      ),
    );
  }

  const chosenRows = () => [...ordered.rows.values()].filter((row) => kept.chosen.has(row.key));

  async function doAll(rows, what, fields) {
    // a finding that has no case yet is named itself: the service opens one
    const ids = rows.map((row) => row.case?.id ?? row.id);
    try {
      const { done, refused } = await actOnAll(api, ids, what, fields);
      say(
        [
          t("bulk.done", { n: done }),
          refused.length ? t("bulk.refused", { n: refused.length, why: refused[0] }) : "",
        ].join(" "),
        refused.length > 0,
      );
      fill(
        above,
        connection(state.get()),
        refused.length > 0 &&
          el("p", { class: "state", role: "alert" }, t("bulk.refused", { n: refused.length, why: refused[0] })),
      );
      kept.chosen.clear();
      await fetchCases();
    } catch (error) {
      fill(
        above,
        failed(error, () => doAll(rows, what, fields), session),
      );
    }
  }

  async function fetchCases() {
    if (!known(session)) return;
    try {
      ordered.of(listed(await api.get("/api/cases", { limit: 10_000 }), "cases"));
      trouble = null;
    } catch (error) {
      // the findings are there all the same; only who works on them is not known
      if (error.status !== 403 && error.status !== 401) trouble = error;
    }
    work();
  }

  /** Put the focus `by` rows on, over the border of pages too. */
  function move(by) {
    const links = [...list.querySelectorAll("a.open")];
    let at = links.findIndex((link) => link.dataset.key === kept.key);
    at = at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by;
    if (at < 0 || at >= links.length) {
      const page = kept.page + (at < 0 ? -1 : 1);
      if (page < 0 || page * PAGE >= ordered.shown.length) return;
      kept.page = page;
      kept.key = "";
      show();
      at = at < 0 ? PAGE - 1 : 0;
    }
    list.querySelectorAll("a.open")[at]?.focus();
  }

  const current = () => ordered.shown.find((row) => row.key === kept.key);
  const onCurrent = (doing) => () => void (current() && doing(current()));
  const act = (what, fields) =>
    triage ? onCurrent((row) => doAll(kept.chosen.size ? chosenRows() : [row], what, fields)) : () => {};
  list.addEventListener("focusin", (event) => {
    const link = event.target.closest("li")?.querySelector("a.open");
    if (link) kept.key = link.dataset.key;
  });

  const stops = [
    keys({
      j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
      x: onCurrent((row) => triage && (choose(row, !kept.chosen.has(row.key)), show())),
      t: act("triage"), a: act("assign", { assignee: me }),
      v: onCurrent((row) => may(session, "verify") && (sessionStorage.setItem("truceline.then", "verdict"), (location.hash = href(row)))),
      "/": () => form.words.focus(),
    }), // prettier-ignore
    state.on("picture", soon),
    state.on("filters", filter),
    state.on(["mission", "connection", "map"], work),
    () => clearTimeout(gather),
    api.on?.("case", fetchCases) ?? (() => {}),
  ];
  filter();
  fetchCases();
  if (kept.key) list.querySelector(`[data-key="${CSS.escape(kept.key)}"]`)?.focus();
  return () => stops.forEach((stop) => stop());
}
