// What a thing on the map is, in words: what, when, how sure, from what; settled or not.

import { el } from "../dom.js";
import { between, duration, number, share, t, term, when } from "../text.js";
import { calibrated } from "./incidents.js";

const status = ({ properties }) => t(properties.provisional ? "thing.provisional" : "thing.settled");
const listed = (names) => (names?.length ? names.join(", ") : t("common.unknown"));
const km = (m) => (m < 950 ? `${number(Math.round(m / 10) * 10)} m` : `${number(m / 1000, 1)} km`);

/** How far off a position may be. */
export const off = ({ major_m, minor_m }) =>
  major_m > 0 ? (minor_m && minor_m < major_m * 0.8 ? `± ${km(major_m)} × ${km(minor_m)}` : `± ${km(major_m)}`) : null;

export const title = (one) =>
  [term(one.properties.what), one.properties.place].filter(Boolean).join(", ") || one.properties.name || one.id;

/** @returns {string[]} */
export function incident(one, likely) {
  const { properties: p } = one;
  const stated = p.count ? t("thing.stated", { n: p.count }) : t("thing.events", { n: p.events ?? 1 });
  return [
    between(p.first_at, p.last_at),
    stated,
    t("thing.kind", { p: share(p.confidence) }),
    p.p_conflict === null || p.p_conflict === undefined
      ? ""
      : t(calibrated(one) ? "thing.conflict" : "thing.conflict.uncalibrated", { p: share(p.p_conflict) }),
    off(p) ? t("thing.where", { off: off(p) ?? "" }) : "",
    t("thing.from", { n: p.observations ?? 0, sources: listed(p.sources) }),
    likely ? t("thing.findings", { n: likely }) : "",
    status(one),
  ].filter(Boolean);
}

/** @returns {string[]} */
export function event(one) {
  const { properties: p } = one;
  return [
    between(p.at_from ?? p.at, p.at_until ?? p.at),
    t("thing.kind", { p: share(p.confidence) }),
    off(p) ? t("thing.where", { off: off(p) ?? "" }) : "",
    t("thing.from", { n: p.observations ?? 0, sources: listed(p.sources) }),
    status(one),
  ].filter(Boolean);
}

/** @returns {string[]} */
export function track(one, now) {
  const speed = Number.isNaN(one.speed_mps) ? null : one.speed_mps;
  return [
    one.identity ? t("track.identity", { identity: one.identity }) : t("track.unidentified"),
    speed === null
      ? t("track.speed.unknown")
      : t("track.speed", { kmh: number(speed * 3.6), kn: number(speed * 1.944), course: Number.isNaN(one.course_deg) ? "—" : number(one.course_deg) }),
    t("track.seen", { at: when(one.seen, "second"), ago: duration((now - one.seen) / 1000) }),
    one.coasting ? t("track.coasting") : "",
  ].filter(Boolean);
}

/** @returns {string[]} */
export function zone({ properties: p }) {
  return [t(`zone.${p.kind ?? "polygon"}`), p.clauses?.length ? t("zone.clauses", { clauses: p.clauses.join(", ") }) : ""].filter(Boolean);
}

/** @returns {string[]} */
export function site({ properties: p }) {
  const radius = p.radius_m ?? (p.radius_km ?? 0) * 1000;
  const said = [];
  if (radius) said.push(t("site.radius", { radius: km(radius) }));
  if (p.protected) said.push(t("site.protected"));
  if (p.clauses?.length) said.push(t("zone.clauses", { clauses: p.clauses.join(", ") }));
  return said;
}

/** @returns {string[]} */
export function line({ properties: p }) {
  return [
    t("line.date", { date: when(`${p.date}T12:00:00Z`, "date") }),
    t("line.length", { km: number(p.length_km, 0), tolerance: number(p.tolerance_m) }),
    p.actual === false ? t("line.former") : "",
  ].filter(Boolean);
}

/** A title and lines as elements. */
export const card = (name, lines) => [el("strong", {}, name), lines.map((one) => el("div", {}, one))];
