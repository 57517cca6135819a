// Sound and help, in the frame.

import { el, fill } from "../dom.js";
import { onLanguage, t } from "../text.js";
import { KEYS } from "./casework.js";
import { keys, shortcuts, useShortcuts } from "./keys.js";
import { known, may } from "./may.js";
import { hear, sound } from "./tone.js";

export function mount(element, state) {
  const show = () => {
    const { session } = state.get();
    const heard = el(
      "button",
      {
        type: "button",
        "aria-pressed": String(sound()),
        class: "sound",
        title: t("sound.what"),
        on: { click: () => (hear(!sound()), show()) },
      },
      t(sound() ? "sound.on" : "sound.off"),
    );
    const keysOf = el(
      "button",
      { type: "button", class: "help-open", "aria-haspopup": "dialog", on: { click: () => help(state) } },
      t("help.title"),
    );
    fill(element, may(session, "acknowledge") && heard, keysOf);
  };
  const stops = [state.on("session", show), onLanguage(show), keys({ "?": () => help(state) })];
  show();
  return () => stops.forEach((stop) => stop());
}

/** What the keys do, for whoever may do it; and a switch for them all. */
export function help(state) {
  const { session } = state.get();
  const row = ([key, text]) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        key.split(" ").map((one) => el("kbd", {}, one)),
      ),
      el("td", {}, text),
    );
  const table = (title, pairs) =>
    pairs.length > 0 && el("table", { class: "keys" }, el("caption", {}, title), el("tbody", {}, pairs.map(row)));
  const list = [["j ↓", t("key.next")], ["k ↑", t("key.previous")], ["Enter", t("key.open")], ["/", t("key.search")]]; // prettier-ignore
  if (may(session, "triage"))
    list.push(["x", t("key.select")], ["t", t("action.triage")], ["a", t("action.assign_me")]);
  if (may(session, "verify")) list.push(["v", t("action.verdict")]);
  const allowed = Object.entries(KEYS).filter(([what]) =>
    what === "dispute" ? may(session, "dispute") : may(session, NEEDS[what] ?? "triage"),
  );
  const one = [
    ...allowed.map(([what, key]) => [key, t(what === "assign" ? "action.assign_me" : `action.${what}`)]),
    ["m", t("common.show_on_map")],
    ["u Esc", t("common.back")],
  ];
  if (may(session, "evidence")) one.push(["e", t("evidence.open")]);
  const everywhere = [["?", t("help.title")], ...(may(session, "acknowledge") ? [["q", t("help.acknowledge")]] : [])];
  const made = el(
    "dialog",
    { class: "ask help", "aria-labelledby": "asked" },
    el("h2", { id: "asked" }, t("help.title")),
    el(
      "label",
      { class: "here" },
      el("input", {
        type: "checkbox",
        checked: shortcuts(),
        on: { change: (event) => useShortcuts(event.target.checked) },
      }),
      t("help.on"),
    ),
    el(
      "div",
      { class: "columns" },
      el("div", {}, table(t("help.lists"), list), table(t("help.page"), everywhere)),
      known(session) && table(t("help.finding"), one),
    ),
    el(
      "div",
      { class: "buttons" },
      el("button", { type: "button", class: "quiet", on: { click: () => made.close() } }, t("common.close")),
    ),
  );
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
}

const NEEDS = {
  verdict: "verify", attribute: "verify", close: "verify", reopen: "verify", notify: "release", review: "release",
  request_release: "release", approve_release: "release", withdraw_release: "release",
}; // prettier-ignore
