// The path of the selected track: its points as the service keeps them, and where it is now.

import { collection, feature } from "./geometry.js";

// Points farther apart in time are not joined: nobody knows what lay between.
const GAP_MS = 15 * 60_000;

export const trailLayers = (c) => [
  {
    id: "trail",
    type: "line",
    source: "trail",
    filter: ["==", ["geometry-type"], "LineString"],
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": c.selected, "line-width": 2, "line-opacity": 0.8 },
  },
  {
    id: "trail-point",
    type: "circle",
    source: "trail",
    filter: ["==", ["geometry-type"], "Point"],
    minzoom: 9,
    paint: { "circle-radius": 2, "circle-color": c.selected, "circle-opacity": 0.7 },
  },
];

/**
 * Lines through points in order of time, broken where nothing was heard; and the points.
 * @param {any[]} points  features with `at`
 */
export function path(points) {
  const sorted = points
    .filter((one) => one.geometry)
    .map((one) => ({ at: Date.parse(one.properties.at), place: one.geometry.coordinates }))
    .sort((a, b) => a.at - b.at);
  /** @type {number[][][]} */
  const lines = [];
  let last = -Infinity;
  for (const { at, place } of sorted) {
    if (at - last > GAP_MS) lines.push([]);
    lines[lines.length - 1].push(place);
    last = at;
  }
  return collection([
    ...lines.filter((line) => line.length > 1).map((coordinates) => feature({ type: "LineString", coordinates })),
    ...sorted.map(({ place, at }) => feature({ type: "Point", coordinates: place }, { at })),
  ]);
}
