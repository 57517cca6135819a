// What was filled in, as one record: a row of the observation table in JSON. Degrees and metres; plain functions.

const EARTH_M = 6371008.8;

// Assumptions: how well people judge what they see and hear without instruments (1 sigma).
const BEARING_SIGMA_DEG = 15;
const DISTANCE_SIGMA = 0.3; // of the distance
const TIME_SIGMA_S = 30;
// How far off it may have been where nobody said: sound carries further than sight over fields.
const REACH_M = { heard: 5000, saw: 2500 };

/** A number as people write it, "49,2" included; NaN where it is none, null where nothing is written. */
export function number(text) {
  const plain = text.trim().replace(",", ".");
  if (plain === "") return null;
  return /^-?\d+(\.\d+)?$/.test(plain) ? Number(plain) : NaN;
}

/** The point `range_m` from a point in the direction `bearing_deg`: [lon, lat]. */
export function away(lon, lat, bearing_deg, range_m) {
  const rad = Math.PI / 180;
  const [a, b, d] = [lat * rad, bearing_deg * rad, range_m / EARTH_M];
  const to = Math.asin(Math.sin(a) * Math.cos(d) + Math.cos(a) * Math.sin(d) * Math.cos(b));
  const east = Math.atan2(Math.sin(b) * Math.sin(d) * Math.cos(a), Math.cos(d) - Math.sin(a) * Math.sin(to));
  return [lon + east / rad, to / rad];
}

/** What is missing or cannot be: the name of the first such field, or null. */
export function missing(filled) {
  const { what, means, at, lat, lon, error_m, bearing_deg, range_m, count } = filled;
  if (!what) return "what";
  if (!means) return "means";
  if (!(at instanceof Date) || Number.isNaN(at.getTime())) return "at";
  if (lat === null || !(Math.abs(lat) <= 90)) return "lat";
  if (lon === null || !(Math.abs(lon) <= 180)) return "lon";
  if (error_m !== null && !(error_m > 0)) return "error";
  if (bearing_deg !== null && !(bearing_deg >= 0 && bearing_deg <= 360)) return "bearing";
  if (range_m !== null && !(range_m > 0)) return "distance";
  if (count !== null && !(Number.isInteger(count) && count > 0)) return "count";
  return null;
}

/** A time with the device's offset, as ISO 8601 has it: what its clock said, and where it thought it was. */
export function withOffset(at) {
  const minutes = -at.getTimezoneOffset();
  const there = new Date(at.getTime() + minutes * 60_000).toISOString().slice(0, 19);
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  return `${there}${minutes < 0 ? "-" : "+"}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
}

/** The record of what was filled in; the position is of what was seen or heard, with the error that it then has. */
export function row(filled, id) {
  const { what, means, at, here, bearing_deg, range_m, count, weapon, text, post } = filled;
  let [lon, lat] = [filled.lon, filled.lat];
  let error_m = filled.error_m ?? 100;
  if (here) {
    if (bearing_deg !== null && range_m !== null) {
      [lon, lat] = away(lon, lat, bearing_deg, range_m);
      const across_m = range_m * Math.tan((BEARING_SIGMA_DEG * Math.PI) / 180);
      error_m = Math.hypot(error_m, Math.max(DISTANCE_SIGMA * range_m, across_m));
    } else {
      error_m = Math.hypot(error_m, range_m ?? REACH_M[means] ?? REACH_M.heard);
    }
  }
  const bearing = here && bearing_deg !== null ? { bearing_deg, bearing_sigma_deg: BEARING_SIGMA_DEG } : {};
  const range = here && range_m !== null ? { range_m, range_sigma_m: Math.round(DISTANCE_SIGMA * range_m) } : {};
  return {
    id,
    kind: "sighting",
    sensor: post || undefined,
    ...what,
    means,
    at: withOffset(at),
    at_sigma_s: TIME_SIGMA_S,
    lon: Number(lon.toFixed(6)),
    lat: Number(lat.toFixed(6)),
    major_m: Math.round(error_m),
    minor_m: Math.round(error_m),
    ...bearing,
    ...range,
    count: count ?? undefined,
    weapon: weapon || undefined,
    text: text || undefined,
  };
}
