// The frame of the page: whose mission, what time, how the connection is, language and light.

import { el, fill } from "./dom.js";
import { lang, LANGUAGES, onLanguage, speak, t, toldIn, when } from "./text.js";

const KEPT = "truceline.theme";
const THEMES = /** @type {const} */ (["auto", "light", "dark"]);
// Behind by more than this the picture says up to when it speaks.
const BEHIND_MS = 5 * 60_000;
// Here the panel lies over the map, as style.css has it.
const NARROW = "(max-width: 1023px)";

const place = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

function fold(folded) {
  place("work").classList.toggle("wide", folded);
  place("fold").setAttribute("aria-expanded", String(!folded));
  place("fold").setAttribute("aria-label", t(folded ? "shell.panel.show" : "shell.panel.hide"));
}

/** Show a place of the map, and the map, where the panel lies over it. */
export function showOnMap(state, zoom, lat, lon) {
  state.set({ map: [zoom, lat, lon] });
  if (matchMedia(NARROW).matches) fold(true);
}

/**
 * @param {import("./state.js").State} state
 * @param {import("./api.js").Api} api
 */
export function shell(state, api) {
  state.set({ theme: kept() });
  let loaded = { now: 0, at: 0 };

  const names = () => {
    const { mission } = state.get();
    document.documentElement.lang = lang();
    document.title = mission ? `${mission.name} · Truceline` : "Truceline";
    fill(place("mission"), mission?.name ?? "Truceline");
    fill(place("exercise"), t("shell.exercise"));
    place("exercise").hidden = !mission?.exercise;
    fill(place("skip"), t("shell.skip"));
    const next = Object.keys(LANGUAGES).find((code) => code !== lang()) ?? "en";
    const button = place("language");
    fill(button, LANGUAGES[next]);
    button.lang = next;
    if (mission && !loaded.now) loaded = { now: new Date(mission.now).getTime(), at: performance.now() };
    clock();
  };

  const clock = () => {
    const { mode, at, mission, picture } = state.get();
    if (!mission) return;
    const drawn = mission.exercise && picture.at ? picture.at.getTime() : 0;
    // an exercise may run faster than time: its clock is then where its picture is
    if (drawn > loaded.now + performance.now() - loaded.at) loaded = { now: drawn, at: performance.now() };
    const now = loaded.now + performance.now() - loaded.at;
    const element = place("clock");
    const shown = mode === "live" ? now : (at ?? new Date(now)).getTime();
    element.setAttribute("datetime", new Date(shown).toISOString());
    element.title = toldIn();
    element.dataset.mode = mode;
    const behind = mode === "live" && picture.at && Math.abs(now - picture.at.getTime()) > BEHIND_MS;
    const said = `${when(shown, "day")} ${when(shown, "second")}`;
    const more = behind ? ` · ${t("shell.picture_to", { at: when(picture.at) })}` : "";
    if (element.textContent !== said + more) fill(element, said, behind && el("span", { class: "soft" }, more));
  };

  const connection = () => {
    const { connection: how, trouble, picture, mode } = state.get();
    const element = place("connection");
    element.dataset.state = mode === "live" ? how : mode;
    const out = how === "connecting" && state.get().session?.via === "anonymous" && !state.get().mission?.centre;
    const said = t(out ? "session.anonymous" : mode === "live" ? `connection.${how}` : `mode.${mode}`);
    if (element.textContent !== said) fill(element, said); // it is read aloud when it changes
    const notice = place("notice");
    const lost = how === "offline" || how === "error";
    notice.hidden = !lost && !trouble;
    if (notice.hidden) return;
    const at = picture.at ? when(picture.at, "whole") : null;
    fill(
      notice,
      el("span", {}, lost ? t(`connection.${how}.do`) : trouble, " ", lost && at && t("connection.as_at", { at })),
      el("button", { type: "button", on: { click: () => retry() } }, t("common.retry")),
    );
  };

  const retry = async () => {
    state.set({ connection: "connecting", trouble: null });
    if (!state.get().mission) return location.reload();
    try {
      await api.reload();
      api.listen();
    } catch (error) {
      state.set({ connection: "offline", trouble: error.message });
    }
  };

  const light = () => {
    const { theme } = state.get();
    document.documentElement.dataset.theme = theme;
    const button = place("theme");
    fill(button, t(`theme.${theme}`));
    button.title = t("theme.switch");
  };

  place("fold").addEventListener("click", () => fold(!place("work").classList.contains("wide")));
  // where the panel lies over the map it opens when something is chosen
  const narrow = matchMedia(NARROW);
  fold(narrow.matches);
  narrow.addEventListener("change", () => fold(narrow.matches));
  state.on(["selected", "view"], ({ selected }, changed) => (selected || changed.has("view")) && fold(false));

  place("language").addEventListener("click", () => speak(Object.keys(LANGUAGES).find((code) => code !== lang()) ?? "en"));
  place("theme").addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(state.get().theme) + 1) % THEMES.length];
    try {
      localStorage.setItem(KEPT, theme);
    } catch {
      // for this visit then
    }
    state.set({ theme });
  });

  state.on(["mission"], names);
  state.on(["mode", "at", "picture"], clock);
  state.on(["connection", "trouble", "picture", "mode", "session", "mission"], connection);
  state.on("theme", light);
  onLanguage(() => [names(), connection(), light()]);
  setInterval(clock, 1000);
  names();
  connection();
  light();
}

/** Whether the page is dark now, by its switch or by the system. */
export const dark = (theme) => theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);

function kept() {
  try {
    const theme = localStorage.getItem(KEPT);
    return THEMES.find((one) => one === theme) ?? "auto";
  } catch {
    return "auto";
  }
}
