// The queue's order and filters: findings of one clause and subject are one row, whoever's reading they are.

export const SEVERITIES = ["grave", "serious", "minor"];
/** States in which a case still waits for somebody. */
export const WAITING = ["alleged", "triaged", "investigating", "disputed"];
/** What the address bar may say of the queue. */
export const FILTERS = ["clause", "severity", "state", "reading", "assignee", "text", "bbox"];
export const NO_CASE = "no case";

/**
 * @typedef {{id: string, key: string, clause: string, readings: Record<string, any>, severity: string, p: number | null,
 *   from: string | null, until: string | null, place: string, what: string, lon: number | null, lat: number | null,
 *   state: string, reopened: boolean, case: any, assignee: string | null, provisional: boolean, sentence: string,
 *   subject: string, count: number | null, kind: string, order: number}} Row
 */

/** One row for each clause and subject. */
export const keyOf = ({ id, properties }) => `${properties.clause} ${properties.subject_id ?? id}`;

/** Cases, by the findings and by the clause and subject that they are about. */
export function casesOf(cases) {
  const of = new Map();
  for (const one of cases) {
    for (const finding of one.findings ?? []) of.set(finding, one);
    if (one.subject_id) of.set(`${one.clause} ${one.subject_id}`, one);
  }
  return of;
}

/**
 * Rows of the queue.
 * @param {Iterable<any>} findings  features
 * @param {Map<string, any>} incidents  features by id
 * @param {Map<string, any>} of  cases, of `casesOf`
 * @returns {Row[]}
 */
export function rows(findings, incidents, of) {
  const found = new Map();
  for (const feature of findings) {
    const p = feature.properties;
    const key = keyOf(feature);
    const row = found.get(key) ?? begun(feature, key, incidents.get(p.subject_id));
    found.set(key, row);
    row.readings[p.reading] = { id: feature.id, p: p.p_breach ?? null, in_force: p.in_force ?? null };
    if ((p.p_breach ?? -1) > (row.p ?? -1) || row.id === feature.id) {
      Object.assign(row, { id: feature.id, p: p.p_breach ?? null, sentence: p.sentence ?? "" });
      Object.assign(row, { from: p.first_breach_from ?? row.from, until: p.first_breach_until ?? row.until });
    }
    if (rank(p.severity) < rank(row.severity)) row.severity = p.severity;
    row.provisional ||= Boolean(p.provisional);
    const known = of.get(feature.id) ?? of.get(key);
    if (known) Object.assign(row, { case: known, state: known.state, reopened: Boolean(known.reopened) });
    if (known) row.assignee = known.assignee ?? null;
  }
  for (const row of found.values()) row.order = order(row);
  return [...found.values()];
}

function begun(feature, key, incident) {
  const p = feature.properties;
  const about = incident?.properties ?? {};
  const [lon, lat] = (feature.geometry ?? incident?.geometry)?.coordinates ?? [null, null];
  return {
    id: feature.id, key, clause: p.clause, readings: {}, severity: p.severity ?? "minor", p: null,
    from: p.first_breach_from ?? about.first_at ?? null, until: p.first_breach_until ?? about.last_at ?? null,
    place: p.place ?? about.place ?? "", what: p.what ?? about.what ?? p.rule ?? "", kind: p.subject_kind ?? "incident",
    count: about.count ?? null, lon, lat, subject: p.subject_id ?? "", sentence: p.sentence ?? "",
    state: p.state ?? NO_CASE, reopened: false, case: null, assignee: null, provisional: Boolean(p.provisional), order: 0,
  }; // prettier-ignore
}

const rank = (severity) => (SEVERITIES.indexOf(severity) + SEVERITIES.length + 1) % (SEVERITIES.length + 1);

/** 0 waits for a person, 1 nobody's case yet, 2 decided. */
export function turn(row) {
  if (row.reopened || WAITING.includes(row.state)) return 0;
  return row.state === NO_CASE ? 1 : 2;
}

// Turn, severity and probability in tenths as one number: sorting asks for it a hundred thousand times.
const order = (row) => turn(row) * 1000 + rank(row.severity) * 100 + (10 - tenth(row.p));

/** By turn, severity, probability in tenths, and then what has waited longest; equal ones by id, so that none jumps. */
export function urgent(a, b) {
  return a.order - b.order || before(a.from ?? "9", b.from ?? "9") || before(a.id, b.id);
}

// ISO times and hexadecimal ids are ASCII: no collation is needed, which would take most of the sorting's time
const before = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

const tenth = (p) => (p === null ? -1 : Math.round(p * 10));

/**
 * Whether a row passes the filters of the address bar.
 * @param {Record<string, string>} filters
 * @param {string | null} [me]  my name
 * @returns {(row: Row) => boolean}
 */
export function passing(filters, me = null) {
  const several = (name) => (filters[name] ? String(filters[name]).split(",") : null);
  const [clauses, severities, states, readings] = ["clause", "severity", "state", "reading"].map(several);
  const assignee = filters.assignee === "me" ? me : filters.assignee;
  const box = /** @type {any} */ (filters.bbox ? String(filters.bbox).split(",").map(Number) : null);
  const words = filters.text ? String(filters.text).toLowerCase().split(/\s+/) : [];
  return (row) => {
    if (clauses && !clauses.includes(String(row.clause))) return false;
    if (severities && !severities.includes(row.severity)) return false;
    if (states && !states.some((one) => (one === "waiting" ? turn(row) === 0 : one === row.state))) return false;
    if (readings && !readings.some((party) => likely(row.readings[party]))) return false;
    if (filters.assignee && assignee !== (row.assignee ?? "nobody")) return false;
    if (box && !within(row, box)) return false;
    if (!words.length) return true;
    const hay = [row.sentence, row.place, row.what, row.clause, row.key, row.id, row.case?.id].join(" ").toLowerCase();
    return words.every((word) => hay.includes(word));
  };
}

// in a party's reading: as likely a breach as not
const likely = (reading) => Boolean(reading) && (reading.p ?? 0) >= 0.5;

function within(row, [west, south, east, north]) {
  return row.lon !== null && row.lon >= west && row.lon <= east && row.lat >= south && row.lat <= north;
}

/**
 * What a map shows, as west,south,east,north: out of its zoom and centre (web mercator), so that nobody has to ask it.
 * @param {number[] | null} map  zoom, lat, lon
 * @param {HTMLElement | null} element
 */
export function bounds(map, element) {
  if (!map || !element?.clientWidth) return null;
  const [zoom, lat, lon] = map;
  const world = 512 * 2 ** zoom;
  const y = Math.asinh(Math.tan((lat * Math.PI) / 180)) / (2 * Math.PI);
  const [half, tall] = [(180 * element.clientWidth) / world, element.clientHeight / world / 2];
  const degrees = (at) => (Math.atan(Math.sinh(at * 2 * Math.PI)) * 180) / Math.PI;
  return [lon - half, degrees(y - tall), lon + half, degrees(y + tall)].map((one) => one.toFixed(4)).join(",");
}
