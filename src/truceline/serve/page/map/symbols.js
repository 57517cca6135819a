// Tracks as symbols of APP-6 where there is room: neutral with a stated identity, unknown without, pending while they
// coast. Affiliation is never judged here: there is no code for any other in this module, and a test keeps it so.

import { COASTING, GONE } from "../tracks.js";
import { collection, feature } from "./geometry.js";

/** From this zoom on; before, dots say more. */
export const SYMBOLS_FROM = 8;
// In view at once: about as many as have room beside each other; the rest stay dots.
const MOST = 250;

const IDENTITY = { pending: "0", unknown: "1", neutral: "4" };
// Symbol set and entity of MIL-STD-2525D, by term; the longest that fits. [M] checked to be drawn by milsymbol 3.
const ENTITY = {
  vessel: "30140000",
  "vessel.cargo": "30140101",
  "vessel.tanker": "30140109",
  "vessel.passenger": "30140110",
  "vessel.high_speed": "30140107",
  "vessel.fishing": "30140200",
  "vessel.tug": "30140111",
  "vessel.pleasure": "30140400",
  "vessel.military": "30110000",
  "vessel.law_enforcement": "30140300",
  "vessel.medical": "30140116",
  air: "01000000",
  uav: "01110300",
  aircraft: "01120000",
  "aircraft.fixed_wing": "01120100",
  "aircraft.rotary": "01120200",
  "aircraft.high_performance": "01110100",
  "aircraft.balloon": "01120400",
  "aircraft.light": "01120100",
  projectile: "02000000",
  ground: "10000000",
  "ground.vehicle": "15160000",
  weapon: "15000000",
};

/**
 * The symbol's code: version, reality, affiliation, set, present, no amplifier, entity, no modifiers.
 * @param {string} what
 * @param {boolean} identified
 * @param {boolean} coasting
 */
export function code(what, identified, coasting) {
  let term = what;
  while (term && !ENTITY[term]) term = term.includes(".") ? term.slice(0, term.lastIndexOf(".")) : "";
  const [set, entity] = [ENTITY[term]?.slice(0, 2) ?? "10", ENTITY[term]?.slice(2) ?? "000000"];
  const affiliation = coasting ? IDENTITY.pending : identified ? IDENTITY.neutral : IDENTITY.unknown;
  return `100${affiliation}${set}0000${entity}0000`;
}

let loading = null;

/** milsymbol, when it is first needed. */
function milsymbol() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/page/vendor/milsymbol.js";
    script.onload = () => resolve(/** @type {any} */ (globalThis).ms);
    script.onerror = () => reject(new Error("the symbols could not be loaded"));
    document.head.append(script);
  });
  return loading;
}

export const symbolLayers = (c) => [
  {
    id: "track-symbol",
    type: "symbol",
    source: "symbols",
    minzoom: SYMBOLS_FROM,
    layout: {
      "icon-image": ["get", "code"],
      "icon-padding": 3,
      "text-field": ["get", "name"],
      "text-font": ["Inter Variable"],
      "text-size": 10.5,
      "text-anchor": "left",
      "text-offset": [1.5, 0],
      "text-optional": true,
    },
    paint: { "text-color": c.name, "text-halo-color": c.halo, "text-halo-width": 1.3 },
  },
];

/**
 * What of the tracks is in view, as features with the code of their symbol; nothing when too far away.
 * @param {import("../tracks.js").Tracks} tracks
 * @param {number[]} box  west, south, east, north
 */
export function inView(tracks, box) {
  const made = [];
  for (let row = 0; row < tracks.size && made.length < MOST; row++) {
    const [lon, lat] = [tracks.lon[row], tracks.lat[row]];
    if (lon < box[0] || lon > box[2] || lat < box[1] || lat > box[3] || tracks.flags[row] & GONE) continue;
    const { identity, what, id } = tracks.of(row);
    const sidc = code(what, Boolean(identity), Boolean(tracks.flags[row] & COASTING));
    made.push(feature({ type: "Point", coordinates: [lon, lat] }, { id, code: sidc, name: identity ?? "" }));
  }
  return collection(made);
}

/** Draw the symbols that are not drawn yet, then call `ready`. */
export async function draw(map, features, ready) {
  const codes = new Set(features.map((one) => one.properties.code).filter((one) => !map.hasImage(one)));
  if (codes.size) {
    const ms = await milsymbol();
    for (const sidc of codes) {
      if (map.hasImage(sidc)) continue;
      const canvas = new ms.Symbol(sidc, { size: 17 * 2, colorMode: "Light", civilianColor: false }).asCanvas(1);
      const { width, height } = canvas;
      map.addImage(sidc, canvas.getContext("2d").getImageData(0, 0, width, height), { pixelRatio: 2 });
    }
  }
  ready();
}
