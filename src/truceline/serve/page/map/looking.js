// Where the map looks: told to the state, and moved when the state is told otherwise (a board, a link, an address).

import { bounds } from "./geometry.js";

// Nearer than this nobody has to come to see what was chosen.
const NEAR = 8;
const GLIDE_MS = 400;

/**
 * @param {any} map
 * @param {import("../state.js").State} state
 */
export function looking(map, state) {
  const seen = () => {
    const at = map.getCenter();
    return [map.getZoom().toFixed(2), at.lat.toFixed(4), at.lng.toFixed(4)].map(Number);
  };
  const box = () => {
    const b = map.getBounds();
    return [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()];
  };
  /** Say where the map looks now. */
  const tell = () => state.set({ map: seen() });

  state.on("map", ({ map: wanted }) => {
    if (!wanted || map.isMoving() || String(wanted) === String(seen())) return;
    map.easeTo({ center: [wanted[2], wanted[1]], zoom: wanted[0], duration: GLIDE_MS });
  });

  return {
    box,
    tell,

    /** Show all of some features. */
    fit(features) {
      const all = /** @type {[number, number, number, number]} */ (bounds(features.map((one) => one.geometry.coordinates)));
      map.fitBounds(all, { padding: 70, animate: false });
    },

    /** Show a place; the map moves only when it is not in it. */
    bring(place) {
      const [west, south, east, north] = box();
      const inside = place[0] > west && place[0] < east && place[1] > south && place[1] < north;
      if (!inside) map.easeTo({ center: place, zoom: Math.max(map.getZoom(), NEAR), duration: GLIDE_MS });
    },
  };
}
