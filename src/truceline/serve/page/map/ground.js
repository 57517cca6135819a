// What lies under the picture: land, water, borders and names; then the agreement's line, zones and sites.

import { collection, ellipse, feature, wide } from "./geometry.js";

const FONT = ["Inter Variable"];
// People a settlement needs to be named, by zoom: about as many names as a map of that scale has room for.
const NAMED = ["step", ["zoom"], 400_000, 5, 150_000, 6, 50_000, 7, 9_000, 8, 3_500, 9, 1_200, 10, 0];

/**
 * GeoJSON of the packed basemap (serve/basemap.py).
 * @param {any} packed
 */
export function unpacked({ scale, layers, places }) {
  const line = (steps) => {
    const points = [];
    for (let i = 0, x = 0, y = 0; i < steps.length; i += 2) points.push([(x += steps[i]) / scale, (y += steps[i + 1]) / scale]);
    return points;
  };
  const areas = (name) => collection(layers[name].map((rings) => feature({ type: "Polygon", coordinates: rings.map(line) })));
  const lines = (name) => collection(layers[name].map((steps) => feature({ type: "LineString", coordinates: line(steps) })));
  const at = (i) => [places.lon[i] / places.scale, places.lat[i] / places.scale];
  const names = places.name.map((name, i) => feature({ type: "Point", coordinates: at(i) }, { name, people: places.population[i] }));
  const made = { land: areas("land"), lakes: areas("lakes"), places: collection(names) };
  for (const name of ["rivers", "borders", "disputed", "regions"]) made[name] = lines(name);
  return made;
}

/** @param {import("./palette.js").Palette} c */
export const basemapLayers = (c) => [
  { id: "land", type: "fill", source: "land", paint: { "fill-color": c.land } },
  { id: "lakes", type: "fill", source: "lakes", paint: { "fill-color": c.water } },
  { id: "rivers", type: "line", source: "rivers", paint: { "line-color": c.river, "line-width": 0.9 } },
  { id: "regions", type: "line", source: "regions", minzoom: 5, paint: { "line-color": c.region, "line-width": 1 } },
  { id: "borders", type: "line", source: "borders", paint: { "line-color": c.border, "line-width": 1.3 } },
  {
    id: "disputed",
    type: "line",
    source: "disputed",
    paint: { "line-color": c.border, "line-width": 1.2, "line-dasharray": [3, 3] },
  },
];

/** @param {import("./palette.js").Palette} c */
export const nameLayers = (c) => [
  {
    id: "places",
    type: "symbol",
    source: "places",
    filter: [">=", ["get", "people"], NAMED],
    layout: {
      "text-field": ["get", "name"],
      "text-font": FONT,
      "text-size": ["interpolate", ["linear"], ["get", "people"], 500, 10.5, 20_000, 11.5, 500_000, 14],
      "symbol-sort-key": ["-", 0, ["get", "people"]],
      "text-padding": 6,
    },
    paint: { "text-color": c.name, "text-halo-color": c.halo, "text-halo-width": 1.4 },
  },
];

/**
 * Layers of the agreement: zones as outlines, sites as rings, the line with the band of its tolerance.
 * @param {import("./palette.js").Palette} c
 * @param {{lat: number, tolerance_m: number}} about
 */
export const agreementLayers = (c, { lat, tolerance_m }) => [
  {
    id: "zone-fill",
    type: "fill",
    source: "zones",
    filter: ["!=", ["get", "kind"], "band"],
    paint: { "fill-color": ["match", ["get", "use"], ["lane", "port", "anchorage"], c.sea_track, c.site], "fill-opacity": 0.07 },
  },
  {
    id: "zone-edge",
    type: "line",
    source: "zones",
    paint: {
      "line-color": ["match", ["get", "use"], ["lane", "port", "anchorage"], c.sea_track, c.zone],
      "line-width": ["case", ["==", ["get", "kind"], "band"], 0.8, 1],
      "line-opacity": ["interpolate", ["linear"], ["zoom"], 5, 0.25, 8, 0.75],
      "line-dasharray": [4, 3],
    },
  },
  {
    id: "line-tolerance",
    type: "line",
    source: "line",
    filter: ["==", ["get", "actual"], true],
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": c.contact, "line-opacity": 0.13, "line-width": wide(2 * tolerance_m, lat) },
  },
  {
    id: "line-former",
    type: "line",
    source: "line",
    filter: ["==", ["get", "actual"], false],
    paint: { "line-color": c.contact, "line-opacity": 0.45, "line-width": 1, "line-dasharray": [2, 3] },
  },
  {
    id: "line-actual",
    type: "line",
    source: "line",
    filter: ["==", ["get", "actual"], true],
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": c.contact, "line-width": ["interpolate", ["linear"], ["zoom"], 5, 1.6, 10, 2.6] },
  },
  { id: "site-ring", type: "line", source: "rings", paint: { "line-color": c.site, "line-width": 1.6 } },
  {
    id: "site-point",
    type: "circle",
    source: "sites",
    paint: { "circle-radius": 3.5, "circle-color": c.site, "circle-stroke-color": c.halo, "circle-stroke-width": 1.2 },
  },
  {
    id: "site-name",
    type: "symbol",
    source: "sites",
    minzoom: 7,
    layout: {
      "text-field": ["get", "name"],
      "text-font": FONT,
      "text-size": 11.5,
      "text-anchor": "left",
      "text-offset": [0.8, 0],
      "text-max-width": 12,
      "text-justify": "left",
    },
    paint: { "text-color": c.site, "text-halo-color": c.halo, "text-halo-width": 1.4 },
  },
];

/** The newest line not after a time is the actual one; older ones stay, as some clauses are read by them. */
export function datedLine(features, at) {
  const day = (at ?? new Date(8.64e15)).toISOString().replace(/^\+/, "~").slice(0, 10);
  const known = features.filter((one) => String(one.properties.date) <= day || day.startsWith("~"));
  const newest = known.reduce((last, one) => (String(one.properties.date) > last ? String(one.properties.date) : last), "");
  return collection(
    known.map((one) => ({ ...one, properties: { ...one.properties, actual: String(one.properties.date) === newest } })),
  );
}

/** Rings round sites that have a radius. */
export const rings = (sites) =>
  collection(
    sites
      .filter((one) => one.geometry && radius(one) > 0)
      .map((one) => {
        const [lon, lat] = one.geometry.coordinates;
        return feature({ type: "LineString", coordinates: ellipse(lon, lat, radius(one), radius(one), 0, 72) }, { id: one.id });
      }),
  );

const radius = ({ properties }) => properties.radius_m ?? (properties.radius_km ?? 0) * 1000;
