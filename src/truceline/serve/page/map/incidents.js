// Incidents as circles: how many by size, how sure by how full, what it would mean by colour; and what is not settled
// or not calibrated looks it. Then the events behind them, each with the ellipse it is known to.

import { collection, ellipse, feature } from "./geometry.js";

/** Findings of this probability and more colour their incident. */
export const LIKELY = 0.5;
// Ellipses of all events in view from this zoom on; of a selected incident's always.
const ELLIPSES_FROM = 9;
const RANK = { minor: 1, serious: 2, grave: 3 };

const RADIUS = ["interpolate", ["linear"], ["sqrt", ["get", "n"]], 1, 5, 3, 9, 6, 15, 12, 24];

/** @param {import("./palette.js").Palette} c */
export function incidentLayers(c) {
  const colour = ["match", ["get", "rank"], 3, c.grave, 2, c.serious, 1, c.minor, c.incident];
  const chosen = ["boolean", ["feature-state", "selected"], false];
  return [
    { id: "ellipse-fill", type: "fill", source: "ellipses", paint: { "fill-color": c.event, "fill-opacity": 0.08 } },
    { id: "ellipse", type: "line", source: "ellipses", paint: { "line-color": c.event, "line-width": 1, "line-opacity": 0.8 } },
    {
      id: "event",
      type: "circle",
      source: "event-points",
      paint: { "circle-radius": 2.5, "circle-color": c.event, "circle-opacity": 0.9 },
    },
    {
      id: "incident-chosen",
      type: "circle",
      source: "incidents",
      paint: {
        "circle-radius": ["+", RADIUS, 6],
        "circle-color": c.selected,
        "circle-opacity": ["case", chosen, 0.25, 0],
        "circle-stroke-color": c.selected,
        "circle-stroke-width": ["case", chosen, 2, 0],
      },
    },
    {
      id: "incident",
      type: "circle",
      source: "incidents",
      layout: { "circle-sort-key": ["+", ["*", 10, ["get", "rank"]], ["get", "p"]] },
      paint: {
        "circle-radius": RADIUS,
        "circle-color": colour,
        "circle-opacity": ["interpolate", ["linear"], ["get", "p"], 0, 0.06, 1, 0.78],
        "circle-stroke-color": colour,
        "circle-stroke-width": ["case", ["get", "provisional"], 0, ["get", "calibrated"], 2.2, 1.1],
      },
    },
    {
      id: "incident-provisional",
      type: "symbol",
      source: "incidents",
      filter: ["get", "provisional"],
      layout: {
        "icon-image": ["concat", "dashed-", ["to-string", ["get", "rank"]]],
        "icon-size": ["/", RADIUS, 16],
        "icon-allow-overlap": true,
        "icon-ignore-placement": true,
      },
    },
    {
      id: "incident-count",
      type: "symbol",
      source: "incidents",
      minzoom: 6.5,
      filter: [">", ["get", "n"], 4],
      layout: {
        "text-field": ["to-string", ["get", "n"]],
        "text-font": ["Inter Variable"],
        "text-size": 10.5,
        "symbol-sort-key": ["-", 0, ["get", "n"]], // where there is room for one, the largest
      },
      paint: { "text-color": c.ring, "text-halo-color": c.halo, "text-halo-width": 1.2 },
    },
  ];
}

/** A dashed ring, for what a later edition may still change. */
export function dashed(colour) {
  const [size, scale] = [36, 2];
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size * scale;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(scale, scale);
  pen.strokeStyle = colour;
  pen.lineWidth = 2.4;
  pen.setLineDash([4.19, 4.19]); // 12 dashes of a circle of radius 16
  pen.arc(size / 2, size / 2, 16, 0, 2 * Math.PI);
  pen.stroke();
  return pen.getImageData(0, 0, size * scale, size * scale);
}

/** The probability that an incident is what its colour says. */
export function sureness({ properties }) {
  return properties.p_conflict ?? properties.confidence ?? 0.5;
}

/** Whether whoever gave the probability was held against truth. */
export const calibrated = ({ properties }) => !/uncalibrated/.test(properties.p_conflict_model ?? "uncalibrated");

/**
 * Incidents and what findings say of them, as features of the map; kept up with what changes.
 */
export class Incidents {
  constructor() {
    /** @type {Map<string, {subject: string, rank: number, p: number}>} */
    this.findings = new Map();
    /** @type {Map<string, Set<string>>} */
    this.of = new Map();
    // what changed since the map was last told
    this.whole = true;
    /** @type {Set<string>} */
    this.touched = new Set();
    /** @type {Set<string>} */
    this.shown = new Set();
    this.drawnOnce = false;
  }

  /**
   * Take note of a change; several may come before the map is told.
   * @param {import("../state.js").Picture} picture
   */
  hear(picture) {
    const { incidents, findings } = picture.changes;
    this.whole ||= !incidents || !findings;
    if (this.whole) { // the first picture heard too, whatever came before anybody listened
      this.findings.clear();
      this.of.clear();
      for (const one of picture.findings.values()) this.note(one);
      return;
    }
    for (const id of [...(incidents?.upserted ?? []), ...(incidents?.removed ?? [])]) this.touched.add(id);
    for (const id of findings?.removed ?? []) this.forget(id);
    for (const id of findings?.upserted ?? []) {
      this.forget(id);
      const one = picture.findings.get(id);
      if (one) this.touched.add(this.note(one));
    }
  }

  /**
   * What to do to the source: everything anew, or which features to remove and add.
   * @param {import("../state.js").Picture} picture
   * @returns {{whole: any} | {remove: string[], add: any[]}}
   */
  told(picture) {
    const [whole, touched] = [this.whole, [...this.touched]];
    this.whole = false;
    this.touched.clear();
    this.drawnOnce ||= picture.revision !== null;
    if (whole) this.shown.clear();
    const add = this.drawn(whole ? [...picture.incidents.keys()] : touched, picture);
    for (const { properties } of add) this.shown.add(properties.id);
    if (whole) return { whole: collection(add) };
    return { remove: touched.filter((id) => !picture.incidents.has(id) && this.shown.delete(id)), add };
  }

  note({ id, properties }) {
    const [subject, rank, p] = [properties.subject_id, RANK[properties.severity] ?? 0, properties.p_breach ?? 0];
    this.findings.set(id, { subject, rank, p });
    if (!this.of.has(subject)) this.of.set(subject, new Set());
    this.of.get(subject)?.add(id);
    return subject;
  }

  forget(id) {
    const known = this.findings.get(id);
    if (!known) return;
    this.findings.delete(id);
    this.of.get(known.subject)?.delete(id);
    this.touched.add(known.subject);
  }

  /** The findings of a subject that are likely. */
  likely(subject) {
    return [...(this.of.get(subject) ?? [])].filter((id) => (this.findings.get(id)?.p ?? 0) >= LIKELY);
  }

  drawn(ids, picture) {
    const made = [];
    for (const id of ids) {
      const one = picture.incidents.get(id);
      if (!one?.geometry) continue;
      const rank = Math.max(0, ...this.likely(id).map((finding) => this.findings.get(finding)?.rank ?? 0));
      made.push({
        type: "Feature",
        geometry: one.geometry,
        properties: {
          id,
          n: Math.max(1, one.properties.count ?? one.properties.events ?? 1),
          p: sureness(one),
          rank,
          provisional: Boolean(one.properties.provisional),
          calibrated: calibrated(one),
        },
      });
    }
    return made;
  }
}

/** Events to draw: those in view when it is near enough, and those of what is selected. */
export function eventsOf(picture, selected, zoom, box) {
  const shown = [];
  for (const one of picture.events.values()) {
    if (!one.geometry) continue;
    const [lon, lat] = one.geometry.coordinates;
    const mine = one.id === selected?.id || one.properties.incident_id === selected?.id;
    const near = zoom >= ELLIPSES_FROM && lon >= box[0] && lat >= box[1] && lon <= box[2] && lat <= box[3];
    if (mine || near) shown.push(one);
  }
  return shown;
}

export const points = (events) =>
  collection(events.map((one) => ({ type: "Feature", geometry: one.geometry, properties: { id: one.id } })));

/** 1-sigma ellipses. */
export const ellipses = (events) =>
  collection(
    events
      .filter((one) => one.properties.major_m > 0)
      .map(({ id, geometry, properties: { major_m, minor_m, tilt_deg } }) => {
        const [lon, lat] = geometry.coordinates;
        return feature({ type: "Polygon", coordinates: [ellipse(lon, lat, major_m, minor_m ?? major_m, tilt_deg ?? 0)] }, { id });
      }),
  );
