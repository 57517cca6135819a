// The strip above everything: the gravest alert nobody has acknowledged yet, and how many more there are.

import { el, fill } from "../dom.js";
import { onLanguage, t } from "../text.js";
import { acknowledge, href, open, ordered } from "./alerts.js";
import { may } from "./may.js";
import { english, severity } from "./parts.js";
import { ready, say } from "./say.js";
import { sound, tone } from "./tone.js";

// An alert that is older than this when the page opens is not new to anybody's ears.
const FRESH_MS = 120_000;

export function mount(element, state, api) {
  ready();
  const told = new Map(); // state each alert was last told in
  let begun = false;

  /** Say and sound what is new since the last look. */
  function hear(alerts, now) {
    for (const one of alerts) {
      const before = told.get(one.alert_id);
      told.set(one.alert_id, one.state);
      if (before === one.state || one.state === "acknowledged") continue;
      if (!begun && now - Date.parse(one.received_at) > FRESH_MS) continue;
      const grave = one.severity === "grave" && one.state !== "withdrawn";
      say(t("alerts.said", { state: t(`alerts.${one.state}`), sentence: one.sentence }), grave);
      if (sound()) tone(one.state === "withdrawn" ? "withdrawn" : grave ? "grave" : "alert");
    }
    begun = true;
  }

  function show(values) {
    const { alerts, session } = values;
    if (alerts.length) hear(alerts, (values.picture.at ?? new Date()).getTime());
    const waiting = ordered(alerts).filter(open);
    element.hidden = !waiting.length || (values.view === "alerts" && !values.selected);
    if (element.hidden) return void fill(element);
    const [first] = waiting;
    const to = href(first);
    const state = first.state;
    element.className = `strip ${first.severity ?? "notice"} ${state}`;
    fill(
      element,
      first.what === "silence"
        ? el("span", { class: "severity silence" }, t("alerts.silence"))
        : severity(first.severity ?? "minor"),
      el("b", {}, t(`alerts.${state}`)),
      to
        ? el("a", { href: to, class: "sentence", lang: "en" }, first.sentence)
        : english(first.sentence, "span", { class: "sentence" }),
      may(session, "acknowledge") &&
        el(
          "button",
          { type: "button", on: { click: () => acknowledge(api, first).catch((error) => say(error.message, true)) } },
          t("alerts.acknowledge"),
        ),
      waiting.length > 1 &&
        el(
          "button",
          { type: "button", class: "quiet", on: { click: all } },
          t("alerts.more", { n: waiting.length - 1 }),
        ),
    );
  }
  const all = () => state.set({ view: "alerts", selected: null, filters: {} });

  const stops = [state.on(["alerts", "view", "selected", "session"], show), onLanguage(() => show(state.get()))];
  show(state.get());
  return () => stops.forEach((stop) => stop());
}
