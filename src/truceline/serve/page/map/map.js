// The picture on the map: builds it, keeps it up with the state, says what is under the pointer, selects.

import * as maplibregl from "/page/vendor/maplibre-gl.mjs";
import { fill, el } from "../dom.js";
import { dark } from "../shell.js";
import { onLanguage, t } from "../text.js";
import { inTurn } from "../turns.js";
import { Dots } from "./dots.js";
import { collection } from "./geometry.js";
import * as ground from "./ground.js";
import { tip } from "./hover.js";
import { dashed, ellipses, eventsOf, Incidents, incidentLayers, points } from "./incidents.js";
import { GROUPS, legend } from "./legend.js";
import { looking } from "./looking.js";
import { palette } from "./palette.js";
import { Pointer } from "./pointer.js";
import * as silence from "./silence.js";
import { draw, inView, SYMBOLS_FROM, symbolLayers } from "./symbols.js";
import { path, trailLayers } from "./trail.js";

// A frame's worth: what follows the map's movement is redone no more often.
const SETTLE_MS = 120;
// Symbols find their places anew no more often; the dots under them move with every message.
const SYMBOLS_MS = 1900;
// Names fade for so long, and find their places in steps of 2 ms; without a fade MapLibre places all of them in each frame.
const FADE_MS = 100;
const EMPTY = collection([]);
const SOURCES = ["zones", "line", "rings", "sites", "silent", "trail", "ellipses", "event-points", "symbols"];

/**
 * @param {HTMLElement} element
 * @param {import("../state.js").State} state
 * @param {import("../api.js").Api} api
 * @param {Promise<any>} packed  the basemap
 */
export function picture(element, state, api, packed) {
  const { mission, map: view } = state.get();
  const colours = () => palette(dark(state.get().theme));
  const tolerance = { lat: mission.centre[1], tolerance_m: 500 };
  /** @returns {any[]} */
  const layersOf = (c) => [
    { id: "sea", type: "background", paint: { "background-color": c.sea } },
    ...ground.basemapLayers(c),
    ...silence.silenceLayers(c).slice(0, 1),
    ...ground.agreementLayers(c, tolerance).filter((one) => one.type !== "symbol"),
    ...trailLayers(c),
    ...incidentLayers(c),
    ...ground.nameLayers(c),
    ...ground.agreementLayers(c, tolerance).filter((one) => one.type === "symbol"),
    ...silence.silenceLayers(c).slice(1),
    ...symbolLayers(c),
  ];

  const map = new maplibregl.Map({
    container: element,
    style: { version: 8, sources: {}, layers: [] },
    center: view ? [view[2], view[1]] : mission.centre,
    zoom: view?.[0] ?? Math.max(4, 13.2 - Math.log2(mission.radius_km)),
    minZoom: 3,
    maxZoom: 15,
    attributionControl: false,
    renderWorldCopies: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    fadeDuration: FADE_MS,
    maplibreLogo: false,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.getCanvas().setAttribute("aria-label", t("map.label"));

  const incidents = new Incidents();
  const dots = new Dots(api.tracks, mission.centre, colours());
  const hint = tip(element);
  /** @type {Record<string, any[]>} */
  const agreement = { zones: [], line: [], sites: [] };
  /** @type {any[]} */
  let spans = [];
  let trailOf = "";
  let silentKey = "";
  let timer = 0;
  let drawnEvents = 0;
  let drawnSymbols = 0;

  const source = (name) => /** @type {any} */ (map.getSource(name));
  const { box, tell, fit, bring } = looking(map, state);
  api.bounds = box;

  async function begin() {
    const c = colours();
    for (const name of SOURCES) map.addSource(name, { type: "geojson", data: EMPTY });
    map.addSource("incidents", { type: "geojson", data: EMPTY, promoteId: "id" });
    const unpacked = ground.unpacked(await packed);
    for (const [name, data] of Object.entries(unpacked))
      map.addSource(name, { type: "geojson", data, tolerance: 0.5, maxzoom: 10, buffer: 32 });
    images(c);
    for (const layer of layersOf(c)) map.addLayer(layer);
    map.addLayer(dots, "ellipse-fill"); // under the incidents: what happened before what moves
    state.on("picture", follow);
    state.on(["selected", "picture"], select);
    state.on(["sources", "mode", "at", "picture"], quiet);
    state.on(["mode", "at"], dated);
    state.on("theme", repaint);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    api.tracks.on(moved);
    map.on("moveend", () => {
      tell();
      nearby();
      symbols();
    });
    new Pointer(map, { state, dots, incidents, hint, agreement, tracks: api.tracks });
    legend(/** @type {HTMLElement} */ (document.getElementById("legend")), show);
    follow(state.get());
    select(state.get(), new Set(["selected"]));
    quiet(state.get());
    agree();
    const first = map.on("render", () => {
      if (!incidents.drawnOnce || !map.isSourceLoaded("incidents") || !map.isSourceLoaded("land")) return;
      performance.mark("map shown");
      first.unsubscribe();
      if (!map.isMoving()) tell();
    });
    map.on("idle", () => (document.documentElement.dataset.map = "idle"));
  }

  function images(c) {
    const colour = [c.incident, c.minor, c.serious, c.grave];
    colour.forEach((one, rank) => {
      if (map.hasImage(`dashed-${rank}`)) map.updateImage(`dashed-${rank}`, dashed(one));
      else map.addImage(`dashed-${rank}`, dashed(one), { pixelRatio: 2 });
    });
  }

  function repaint() {
    const c = colours();
    for (const { id, paint } of layersOf(c))
      for (const [name, value] of Object.entries(paint ?? {})) map.setPaintProperty(id, /** @type {any} */ (name), value);
    images(c);
    dots.paint(c);
    map.triggerRepaint();
  }

  /** The agreement's ground: asked for once, again when it could not be had. */
  async function agree() {
    await Promise.all(
      Object.keys(agreement).map(async (name) => {
        agreement[name] = await api.features(name).catch(() => []);
      }),
    );
    const tolerances = agreement.line.map((one) => one.properties.tolerance_m).filter(Boolean);
    if (tolerances.length) tolerance.tolerance_m = tolerances[0];
    source("zones").setData(collection(agreement.zones.filter((one) => one.geometry)));
    source("sites").setData(collection(agreement.sites.filter((one) => one.geometry)));
    source("rings").setData(ground.rings(agreement.sites));
    dated(state.get());
    repaint();
    const line = agreement.line.filter((one) => one.geometry);
    if (!view && line.length) fit(line);
  }

  let day = "";
  function dated({ mode, at, picture }) {
    const shown = mode === "live" ? picture.at : at;
    const now = `${shown?.toISOString().slice(0, 10)} ${agreement.line.length}`;
    if (now !== day) source("line").setData(ground.datedLine(agreement.line, shown));
    day = now;
  }

  function follow({ picture }) {
    incidents.hear(picture);
    inTurn("incidents", () => {
      const change = incidents.told(state.get().picture);
      if ("whole" in change) source("incidents").setData(change.whole);
      else if (change.remove.length || change.add.length) source("incidents").updateData(change);
    });
    const { events } = picture.changes;
    if (!events || events.upserted.length || events.removed.length) nearby();
  }

  /** What is drawn only when near or selected: events, with their ellipses. */
  function nearby() {
    timer ||= window.setTimeout(() => {
      timer = 0;
      const { picture, selected } = state.get();
      const events = eventsOf(picture, selected, map.getZoom(), box());
      if (!events.length && !drawnEvents) return; // drawing nothing again costs as much as drawing something
      drawnEvents = events.length;
      source("event-points").setData(points(events));
      source("ellipses").setData(ellipses(events));
    }, SETTLE_MS);
  }

  let symbolsAt = 0;
  function symbols() {
    symbolsAt = performance.now();
    const near = map.getZoom() >= SYMBOLS_FROM && !dots.hidden;
    const shown = near ? inView(api.tracks, box()) : EMPTY;
    if (!shown.features.length && !drawnSymbols) return;
    drawnSymbols = shown.features.length;
    draw(map, shown.features, () => source("symbols").setData(shown));
  }

  function moved() {
    inTurn("dots", () => {
      dots.update();
      map.triggerRepaint();
    });
    if (map.getZoom() >= SYMBOLS_FROM && performance.now() - symbolsAt > SYMBOLS_MS) inTurn("symbols", symbols);
  }

  let chosen = "";
  function select({ selected, picture }, changed) {
    const subject = selected?.kind === "finding" ? picture.findings.get(selected.id)?.properties.subject_id : selected?.id;
    if (subject !== chosen) {
      if (chosen) map.setFeatureState({ source: "incidents", id: chosen }, { selected: false });
      chosen = subject ?? "";
      if (chosen) map.setFeatureState({ source: "incidents", id: chosen }, { selected: true });
      const place = (picture.incidents.get(chosen) ?? picture.events.get(chosen))?.geometry?.coordinates;
      if (changed.has("selected") && place) bring(place);
      nearby();
    }
    const track = selected?.kind === "track" ? selected.id : "";
    if (track !== trailOf) trail(track);
  }

  async function trail(id) {
    trailOf = id;
    source("trail").setData(EMPTY);
    if (!id) return;
    const found = await api.features("track_points", { track_id: id }).catch(() => []);
    if (trailOf === id) source("trail").setData(path(found));
  }

  function quiet(values) {
    const silent = silence.silent(values, spans);
    const key = silent.map((one) => `${one.id}${one.bounds}`).join();
    if (key !== silentKey) source("silent")?.setData(silence.areas(silent));
    silentKey = source("silent") ? key : "";
    silence.strip(/** @type {HTMLElement} */ (document.getElementById("silence")), values, silent, (one) => {
      state.set({ selected: { kind: "source", id: one.id } });
      if (one.bounds) map.fitBounds(/** @type {any} */ (one.bounds), { padding: 40, duration: 400 });
    });
  }

  function show(group, shown) {
    for (const id of GROUPS[group]) map.setLayoutProperty(id, "visibility", shown ? "visible" : "none");
    if (group === "tracks") dots.hidden = !shown;
    map.triggerRepaint();
  }

  const about = () =>
    fill(
      footer,
      el("span", {}, mission.attribution),
      el("span", {}, mission.viewpoint),
      el("span", { class: "coarse" }, t("map.coarse")),
    );
  const footer = element.appendChild(el("div", { class: "attribution" }));
  about();
  const coarse = () => (footer.dataset.near = String(map.getZoom() >= 9));
  map.on("zoom", coarse);
  coarse();
  map.addControl(new maplibregl.ScaleControl({ maxWidth: 120 }), "bottom-left");
  map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
  onLanguage(() => {
    about();
    quiet(state.get());
  });
  map.on("error", ({ error }) => console.error(error.message));
  map.once("style.load", begin);

  return {
    map,
    /** What the time line knows of silence. */
    silences(found) {
      spans = found;
      quiet(state.get());
    },
    fit,
  };
}
