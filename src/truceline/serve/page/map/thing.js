// One thing of the picture in words: an incident with its findings and events, an event, a track, a zone, the line.
// (A finding, a site and a source have views of their own.)

import { el, fill } from "../dom.js";
import { share, t, term, when } from "../text.js";
import { party } from "../views/parts.js";
import { calibrated } from "./incidents.js";
import * as words from "./words.js";

export const name = "thing";
export const selects = ["incident", "event", "track", "zone", "line"];

/**
 * @param {HTMLElement} element
 * @param {import("../state.js").State} state
 * @param {import("../api.js").Api} api
 */
export function mount(element, state, api) {
  /** @type {Record<string, any[] | null>} */
  let ground = { zones: null, line: null };
  const select = (kind, id) => () => state.set({ selected: { kind, id } });
  const link = (kind, id, ...said) => el("button", { type: "button", class: "link", on: { click: select(kind, id) } }, said);
  const bar = (label, p, soft) =>
    el(
      "div",
      { class: "likelihood" },
      el("span", {}, label),
      el("span", { class: "bar", "aria-hidden": "true" }, el("i", { style: { width: `${Math.round((p ?? 0) * 100)}%` } })),
      el("b", {}, share(p)),
      soft && el("small", {}, soft),
    );

  function incident({ id, properties: p }, { picture, selected }) {
    const events = [...picture.events.values()].filter((one) => one.properties.incident_id === id);
    const findings = [...picture.findings.values()].filter((one) => one.properties.subject_id === id);
    return [
      el("h3", {}, t("thing.kinds")),
      bar(term(p.what), p.confidence),
      Object.entries(p.alternatives ?? {}).map(([what, share]) => bar(term(what), share)),
      p.p_conflict != null && bar(t("thing.by_conflict"), p.p_conflict, calibrated({ properties: p }) ? null : t("thing.uncalibrated")),
      p.text && el("blockquote", {}, p.text),
      el("h3", {}, t("thing.held", { n: findings.length })),
      findings
        .sort((a, b) => (b.properties.p_breach ?? 0) - (a.properties.p_breach ?? 0))
        .map((one) => el("div", { class: "entry" }, link("finding", one.id, t("thing.clause", { clause: one.properties.clause, reading: party(one.properties.reading, state.get().mission) })), el("b", {}, share(one.properties.p_breach)))),
      events.length > 0 && el("h3", {}, t("thing.made_of", { n: events.length })),
      events.map((one) => el("div", { class: "entry" }, link("event", one.id, term(one.properties.what)), el("span", { class: "soft" }, when(one.properties.at ?? one.properties.at_from)))),
    ];
  }

  function event({ properties: p }) {
    return [
      el("h3", {}, t("thing.kinds")),
      bar(term(p.what), p.confidence),
      Object.entries(p.alternatives ?? {}).map(([what, share]) => bar(term(what), share)),
      p.incident_id && el("p", {}, link("incident", p.incident_id, t("thing.part_of"))),
    ];
  }

  const missing = (values) =>
    values.picture.revision === null && values.mode === "live"
      ? el("p", { class: "state loading" }, t("state.loading"))
      : [el("p", { class: "state" }, t("state.gone")), el("p", { class: "soft" }, t("state.gone.do"))];

  function told(values) {
    const { picture, selected, at, mode } = values;
    const { kind, id } = selected;
    if (kind === "incident" || kind === "event") {
      const one = picture[`${kind}s`].get(id);
      if (!one) return missing(values);
      const said = kind === "incident" ? words.incident(one, 0) : words.event(one);
      return [el("h2", { tabindex: "-1" }, words.title(one)), said.map((line) => el("p", { class: "fact" }, line)), kind === "incident" ? incident(one, values) : event(one)];
    }
    if (kind === "track") {
      const row = api.tracks.find(id);
      if (row < 0) return [el("p", { class: "state" }, t("track.gone")), el("p", { class: "soft" }, t("track.gone.do"))];
      const one = api.tracks.of(row);
      const now = new Date(api.tracks.at * 1000);
      const shown = mode === "live" ? now : (at ?? now);
      return [el("h2", { tabindex: "-1" }, term(one.what)), words.track(one, shown).map((line) => el("p", { class: "fact" }, line)), el("p", { class: "soft" }, t("track.neutral"))];
    }
    const found = (kind === "zone" ? ground.zones : ground.line)?.find((one) => (one.properties.id ?? one.properties.date ?? one.id) === id);
    if (!found) return missing(values);
    const lines = kind === "zone" ? words.zone(found) : words.line(found);
    return [el("h2", { tabindex: "-1" }, kind === "zone" ? found.properties.name || id : t("line.title")), lines.map((line) => el("p", { class: "fact" }, line))];
  }

  const show = () => {
    const values = state.get();
    if (!values.selected || !selects.includes(values.selected.kind)) return;
    fill(element, el("button", { type: "button", class: "link back", on: { click: () => state.set({ selected: null }) } }, t("common.back")), told(values));
  };
  const load = async () => {
    const kind = state.get().selected?.kind;
    const wanted = kind === "zone" ? "zones" : kind === "line" ? "line" : "";
    if (!wanted || ground[wanted]) return;
    ground[wanted] = await api.features(wanted).catch(() => []);
    show();
  };
  const offs = [
    state.on(["selected", "picture"], () => {
      show();
      load();
    }),
    api.tracks.on(() => state.get().selected?.kind === "track" && show()),
  ];
  show();
  load();
  return () => offs.forEach((off) => off());
}
