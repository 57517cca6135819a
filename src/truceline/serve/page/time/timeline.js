// Under the map: what happened when, who was silent, and the time that is shown; live, standing still, or running.

import { el, fill } from "../dom.js";
import { dayOf, lang, onLanguage, t, when } from "../text.js";
import { draw, scale } from "./chart.js";
import { replay, SPEEDS } from "./replay.js";

const HOUR_MS = 3_600_000;
const SPANS_H = [6, 24, 48, 168, 720];
// Bars of a span: no narrower than a finger can tell apart.
const BARS = 144;
// The counts are asked for again at most so often while the picture is live.
const FRESH_MS = 20_000;

/**
 * @param {HTMLElement} element
 * @param {import("../state.js").State} state
 * @param {import("../api.js").Api} api
 * @param {{silences: (spans: any[]) => void} | undefined} map  which is told who was silent
 */
export function timeline(element, state, api, map) {
  const control = replay(state, api);
  let span = (state.get().mission.window_h ?? 48) * HOUR_MS;
  let counts = null;
  let asked = "";
  let fresh = 0;
  let failed = null;

  const button = (key, act, attributes = {}) => el("button", { type: "button", on: { click: act }, ...attributes }, t(key));
  const controls = el("div", { class: "controls" });
  const svg = el("svg:svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
  const head = el("div", { class: "head", hidden: true });
  const hint = el("div", { class: "moment", hidden: true });
  const track = el("div", { class: "track", role: "slider", tabindex: "0", data: { arrows: "" } }, svg, head, hint);
  const note = el("p", { class: "note", role: "status" });
  fill(element, controls, el("div", { class: "chart" }, note, track));

  /** The span that is drawn: up to now, or round the time that is looked at. */
  function range() {
    const { mode, at } = state.get();
    const edge = +control.edge();
    const end = Math.ceil(edge / 60_000) * 60_000;
    if (mode === "live" || !at || (+at <= end && +at >= end - span)) return { from: new Date(end - span), until: new Date(end) };
    if (counts && at >= counts.from && at <= counts.until && +counts.until - +counts.from === span) return counts;
    const middle = Math.min(Math.round((+at + span / 2) / HOUR_MS) * HOUR_MS, end);
    return { from: new Date(middle - span), until: new Date(middle) };
  }

  async function load() {
    const { from, until } = range();
    const strict = state.get().session?.label !== "mission";
    const unit = strict ? 3600 : 60;
    const bucket_s = Math.max(unit, Math.ceil(span / 1000 / BARS / unit) * unit);
    const key = `${+from} ${+until} ${state.get().session?.name}`;
    if (key === asked && !failed) return;
    if (state.get().mode === "live" && counts && Date.now() - fresh < FRESH_MS && span === counts.until - counts.from) return;
    asked = key;
    fresh = Date.now();
    try {
      const said = await api.get("/api/timeline", { from: from.toISOString(), to: until.toISOString(), bucket_s });
      if (key !== asked) return;
      counts = { ...said, from: new Date(said.from), until: new Date(+new Date(said.from) + said.incidents.length * said.bucket_s * 1000) };
      counts.until = new Date(Math.max(+until, +from + span));
      failed = null;
    } catch (error) {
      failed = error;
      counts = { from, until, bucket_s, incidents: [], findings: [], silent: [] };
    }
    map?.silences(counts.silent);
    show();
  }

  // browsers write a day as their own language has it; beside it the page's words, so that 3/4 is no riddle
  const day = el("input", { type: "date" });
  const words = el("span", { class: "day" });
  day.addEventListener("change", () => day.value && control.pause(clip(new Date(`${day.value}T12:00:00Z`))));
  function dated(shown) {
    const now = dayOf(shown);
    if (words.dataset.day === `${now} ${lang()}`) return;
    words.dataset.day = `${now} ${lang()}`;
    if (document.activeElement !== day) day.value = now;
    fill(words, when(`${now}T12:00:00Z`, "year"));
  }

  let width = 0; // asked of the browser only when it changes: asking makes it lay the page out
  function show() {
    if (!counts) return;
    width = Math.max(200, track.clientWidth);
    draw(svg, counts, width);
    remark();
    point();
  }

  function remark() {
    const empty = counts?.incidents.every((n) => !n) && !counts.silent.length;
    const said = failed
      ? t("time.failed", { detail: failed.message })
      : control.nothingKnown
        ? t("time.nothing_known")
        : empty
          ? t("time.empty")
          : "";
    if (note.textContent !== said) fill(note, said);
    note.hidden = !said;
  }

  /** The line of the time shown. */
  function point() {
    const { mode, at } = state.get();
    const shown = mode === "live" ? control.edge() : at;
    if (!counts || !shown) return;
    dated(shown);
    const x = scale(counts, width)(+shown);
    head.hidden = x < 0 || x > width + 1;
    head.dataset.mode = mode;
    head.style.transform = `translateX(${x.toFixed(1)}px)`;
    track.setAttribute("aria-label", t("time.label"));
    track.setAttribute("aria-valuemin", String(+counts.from));
    track.setAttribute("aria-valuemax", String(+counts.until));
    track.setAttribute("aria-valuenow", String(+shown));
    track.setAttribute("aria-valuetext", when(shown, "whole"));
  }

  function controlled() {
    const { mode, at, knowledge, session } = state.get();
    const live = mode === "live";
    const select = (name, options, value, change) =>
      el(
        "label",
        {},
        el("span", { class: "unseen" }, t(name)),
        el("select", { on: { change: (event) => change(event.target.value) } }, options.map(([key, text]) => el("option", { value: key, selected: String(key) === String(value) }, text))),
      );
    day.setAttribute("aria-label", t("time.day"));
    dated(live || !at ? control.edge() : at);
    fill(
      controls,
      el(
        "div",
        { class: "group" },
        button("time.live", control.live, { class: "live", "aria-pressed": String(live) }),
        button(mode === "paused" ? "time.play" : "time.pause", control.toggle, { class: "play", title: t("time.keys") }),
        button("time.back", () => control.step(-stepMs()), { "aria-label": t("time.back.label") }),
        button("time.on", () => control.step(stepMs()), { "aria-label": t("time.on.label"), disabled: live }),
        select("time.speed", SPEEDS.map((one) => [one, t("time.times", { n: one })]), control.speed, (value) => (control.speed = Number(value))),
      ),
      el(
        "div",
        { class: "group" },
        day,
        words,
        select("time.span", SPANS_H.map((h) => [h, h < 48 ? t("duration.hours", { n: h }) : t("duration.days", { n: h / 24 })]), span / HOUR_MS, (value) => {
          span = Number(value) * HOUR_MS;
          asked = "";
          fresh = 0;
          load();
        }),
        !live &&
          session?.label === "mission" &&
          select("time.knowledge", ["settled", "known"].map((one) => [one, t(`time.${one}`)]), knowledge, (value) => state.set({ knowledge: value })),
      ),
    );
  }

  const stepMs = () => Math.max(60_000, (counts?.bucket_s ?? 600) * 1000);
  const clip = (at) => new Date(Math.min(+at, +control.edge()));
  const under = (event) => {
    const box = track.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return new Date(+counts.from + share * (counts.until - counts.from));
  };

  track.addEventListener("pointerdown", (event) => {
    if (!counts || event.button) return;
    track.setPointerCapture(event.pointerId);
    control.pause(clip(under(event)));
    const move = (moved) => control.pause(clip(under(moved)));
    track.addEventListener("pointermove", move);
    track.addEventListener("pointerup", () => track.removeEventListener("pointermove", move), { once: true });
  });
  track.addEventListener("pointermove", (event) => {
    if (!counts) return;
    const at = under(event);
    const i = Math.floor((+at - counts.from) / counts.bucket_s / 1000);
    hint.hidden = false;
    fill(hint, `${when(at)} · `, t("time.counts", { n: counts.incidents[i] ?? 0, likely: counts.findings[i] ?? 0 }));
    hint.style.transform = `translateX(${Math.min(Math.max(0, scale(counts, width)(+at) - 60), width - 210)}px)`;
  });
  track.addEventListener("pointerleave", () => (hint.hidden = true));

  const arrows = { ArrowLeft: -1, ArrowRight: 1 };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    const target = event.target instanceof Element ? event.target : document.body;
    const free = target === document.body || target === track || target.id === "panel";
    if (event.key === " " && (free || target.closest("#map"))) control.toggle();
    else if (event.key in arrows && (free || element.contains(target)) && !target.closest("select, input"))
      control.step(arrows[event.key] * stepMs() * (event.shiftKey ? 6 : 1));
    else return;
    event.preventDefault();
  });

  new ResizeObserver(show).observe(track);
  state.on(["mode", "knowledge", "session"], controlled);
  state.on(["mode", "at", "picture", "session"], () => {
    point();
    remark();
    load();
  });
  onLanguage(() => {
    controlled();
    show();
  });
  controlled();
  load();
  return control;
}
