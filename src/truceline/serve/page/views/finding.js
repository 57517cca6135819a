// A finding's page: its sentence, why it is as probable as it is, the clause, the evidence, and what to do about it.

import { el, fill } from "../dom.js";
import { duration, t, when } from "../text.js";
import { buttons, doings, history, KEYS, outgoing } from "./casework.js";
import { chain } from "./evidence.js";
import { attribution, chart, clock } from "./factors.js";
import { keys } from "./keys.js";
import { may } from "./may.js";
import { connection, english, failed, heading, loading, party, probability, scope, severity } from "./parts.js";
import { context, readings, similar } from "./reading.js";
import { clauseName, stateName } from "./row.js";
import { say } from "./say.js";

export const name = "finding";
export const selects = ["finding", "case"];

export function mount(element, state, api) {
  const session = state.get().session;
  let told = null;
  let id = null;
  let doing = {};
  let evidence = null;
  let asked = 0;
  const above = el("div", {});
  const body = el("article", { class: "finding" });
  fill(
    element,
    el("nav", { class: "back" }, el("a", { href: "#", on: { click: back } }, t("common.back"))),
    above,
    body,
  );

  function back(event) {
    event?.preventDefault();
    state.set({ selected: null });
  }

  async function load() {
    const { selected } = state.get();
    if (!selected || !selects.includes(selected.kind)) return;
    const mine = ++asked;
    if (id !== selected.id) fill(body, loading());
    id = selected.id;
    try {
      const answer = await ask();
      if (mine !== asked) return;
      told = answer;
      draw();
      const then = sessionStorage.getItem("truceline.then");
      sessionStorage.removeItem("truceline.then");
      if (then && doing[then]) run(doing[then]);
    } catch (error) {
      if (mine === asked) fill(body, failed(error, load, session, true));
    }
  }

  /** What the service says of it; where it says nothing, what the picture has: to whom a sentence alone is released. */
  async function ask() {
    const { selected, picture } = state.get();
    try {
      if (selected.kind === "finding") return await api.get(`/api/findings/${id}`);
      const found = await api.get(`/api/cases/${id}`);
      const answer = found.findings?.length
        ? await api.get(`/api/findings/${found.findings[0]}`)
        : { id, case: found, clause: { id: found.clause } };
      return answer;
    } catch (error) {
      const known = picture.findings.get(id);
      if (!known || error.status !== 404) throw error;
      const { place, what, lon, lat, clause, ...rest } = known.properties;
      return { ...rest, id, clause: { id: clause }, place: { place, what, lon, lat, ...coordinates(known) } };
    }
  }

  async function run(go) {
    try {
      await go();
    } catch (error) {
      fill(
        above,
        failed(error, () => fill(above), session),
      );
    }
  }

  function draw() {
    const values = state.get();
    const { mission } = values;
    const named = (of) => party(of, mission);
    const folded = told.case ?? {};
    const allowed = (told.actions ?? folded.actions ?? []).map((one) => one.what);
    doing = doings({
      caseId: folded.id ?? id,
      allowed,
      told,
      session,
      api,
      after: () => (say(t("actions.done")), load()),
    });
    evidence = may(session, "evidence") ? chain(id, api, session) : null;
    fill(above, connection(values), scope(session));
    const held = document.activeElement?.closest?.("[data-action]")?.getAttribute("data-action");
    const clocked = clock(told.clock, duration);
    const whole = told.factors !== undefined && told.factors !== null;
    fill(
      body,
      heading(
        t("finding.title", {
          clause: [told.clause?.id, told.clause?.title ?? clauseName("", mission, told.sentence)]
            .filter(Boolean)
            .join(" "),
        }),
      ),
      told.p_breach !== undefined &&
        el(
          "p",
          { class: "marks" },
          told.severity && severity(told.severity),
          probability(told.p_breach),
          el("span", { class: "uncalibrated" }, t(told.calibrated ? "finding.calibrated" : "finding.uncalibrated")),
          told.provisional && el("span", { class: "provisional" }, t("common.provisional")),
        ),
      told.sentence
        ? english(told.sentence, "p", { class: "sentence" })
        : el("p", { class: "state" }, t("finding.withdrawn", { on: told.withdrawn_on ?? null })),
      marks(folded),
      folded.reopened && el("p", { class: "state", role: "note" }, t("case.reopened.why")),
      Object.keys(doing).length ? buttons(doing, run) : null,
      folded.pending_release &&
        el("section", { class: "pending" }, el("h3", {}, t("release.pending")), outgoing(folded.pending_release)),
      whole &&
        section(
          "finding.why",
          chart(told.factors, told.p_breach),
          el("h4", {}, t("attribution.title")),
          attribution(told.attribution, named),
        ),
      section("finding.clause", readings(told, mission, address)),
      (told.first_breach_from || told.place) && section("finding.when_where", context(told, state)),
      clocked && section("finding.clock", clocked),
      evidence && section("finding.evidence", evidence.element),
      (folded.history || folded.disputes) &&
        section("finding.history", history(folded.history ?? disputes(folded.disputes, session))),
      told.similar?.length ? section("finding.similar", similar(told.similar, address)) : null,
    );
    if (held) body.querySelector(`[data-action="${held}"]`)?.focus();
  }

  const marks = (folded) =>
    folded.state &&
    el(
      "p",
      { class: "marks" },
      el(
        "span",
        { class: "case" },
        t("finding.case", { state: stateName({ state: folded.state, reopened: folded.reopened }) }),
      ),
      "assignee" in folded && el("span", {}, t("finding.assignee", { name: folded.assignee ?? t("common.nobody") })),
      folded.label &&
        el(
          "span",
          {},
          folded.label === "mission"
            ? t("finding.not_released")
            : t("finding.released", { label: t(`label.short.${folded.label}`) }),
        ),
      folded.released_on && el("span", {}, t("finding.released_on", { on: when(folded.released_on, "date") })),
    );

  const section = (key, ...inside) => el("section", { data: { part: key } }, el("h3", {}, t(key)), inside);

  const address = (of) => `#${state.get().view}/finding/${of}`;

  const pressed = Object.fromEntries(
    [...new Set(Object.values(KEYS))].map((key) => [
      key,
      () => {
        const what = Object.keys(doing).find((one) => KEYS[one] === key);
        if (what) run(doing[what]);
      },
    ]),
  );
  const stops = [
    keys({
      ...pressed,
      e: () => (evidence?.open(), evidence?.element.scrollIntoView({ block: "start" })),
      m: () => body.querySelector('[aria-keyshortcuts="m"]')?.click(),
      u: () => back(),
      Escape: () => back(),
    }),
    state.on("selected", load),
    state.on("connection", () => fill(above, connection(state.get()), scope(session))),
    api.on?.("case", (content) => content?.case_id && content.case_id === told?.case?.id && load()) ?? (() => {}),
  ];
  load();
  element.querySelector("a")?.focus({ preventScroll: true });
  return () => stops.forEach((stop) => stop());
}

const coordinates = ({ geometry }) =>
  geometry?.type === "Point" ? { lon: geometry.coordinates[0], lat: geometry.coordinates[1] } : {};

/** A party's own disputes, as a history has them. */
const disputes = (list, session) => (list ?? []).map((one) => ({ ...one, what: "dispute", by: session.name }));
