// Degrees, metres and the map's own square.

const EARTH_M = 6_371_008.8;
const RADIAN = Math.PI / 180;

/** Web Mercator's square: 0 to 1 from west to east, from north to south. */
export const mercatorX = (lon) => (lon + 180) / 360;
export const mercatorY = (lat) => (1 - Math.log(Math.tan(Math.PI / 4 + (lat * RADIAN) / 2)) / Math.PI) / 2;

// The same by steps of a fiftieth of a degree, straight between them: off by less than 20 cm, and without a logarithm
// for each of 50,000 tracks.
const STEPS = 50;
const LIMIT = 85;
const table = Float64Array.from({ length: 2 * LIMIT * STEPS + 2 }, (_, i) => mercatorY(i / STEPS - LIMIT));

/** `mercatorY` for many points. */
export function quickY(lat) {
  const at = (Math.min(LIMIT, Math.max(-LIMIT, lat)) + LIMIT) * STEPS;
  const i = at | 0;
  return table[i] + (at - i) * (table[i + 1] - table[i]);
}

/**
 * A point so far off, in a direction clockwise from true north.
 * @returns {[number, number]} lon, lat
 */
export function offset(lon, lat, east_m, north_m) {
  const dLat = north_m / EARTH_M / RADIAN;
  return [lon + east_m / EARTH_M / RADIAN / Math.cos((lat + dLat / 2) * RADIAN), lat + dLat];
}

/** An ellipse as a ring; its long axis points `tilt_deg` clockwise from true north. */
export function ellipse(lon, lat, major_m, minor_m, tilt_deg = 0, corners = 48) {
  const [sin, cos] = [Math.sin(tilt_deg * RADIAN), Math.cos(tilt_deg * RADIAN)];
  const ring = [];
  for (let i = 0; i <= corners; i++) {
    const along = major_m * Math.cos((2 * Math.PI * (i % corners)) / corners);
    const across = minor_m * Math.sin((2 * Math.PI * (i % corners)) / corners);
    ring.push(offset(lon, lat, along * sin + across * cos, along * cos - across * sin));
  }
  return ring;
}

/** Great-circle metres between two points. */
export function distance(lon1, lat1, lon2, lat2) {
  const [a, b] = [Math.sin(((lat2 - lat1) * RADIAN) / 2), Math.sin(((lon2 - lon1) * RADIAN) / 2)];
  return 2 * EARTH_M * Math.asin(Math.sqrt(a * a + Math.cos(lat1 * RADIAN) * Math.cos(lat2 * RADIAN) * b * b));
}

/** A style's expression for a width of so many metres on the ground, at a latitude: MapLibre's tiles are 512 px. */
export function wide(metres, lat) {
  const px = (zoom) => (metres * 2 ** zoom) / (78_271.5 * Math.cos(lat * RADIAN));
  return ["interpolate", ["exponential", 2], ["zoom"], 0, px(0), 22, px(22)];
}

/** West, south, east, north of any coordinates, however deep. */
export function bounds(coordinates, box = [Infinity, Infinity, -Infinity, -Infinity]) {
  if (typeof coordinates[0] === "number") {
    box[0] = Math.min(box[0], coordinates[0]);
    box[1] = Math.min(box[1], coordinates[1]);
    box[2] = Math.max(box[2], coordinates[0]);
    box[3] = Math.max(box[3], coordinates[1]);
  } else for (const one of coordinates) bounds(one, box);
  return box;
}

export const collection = (features) => ({ type: "FeatureCollection", features });
export const feature = (geometry, properties = {}) => ({ type: "Feature", geometry, properties });
