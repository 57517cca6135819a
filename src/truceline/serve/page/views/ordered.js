// The queue's rows, kept in order: a change of the picture costs what changed, not what there is.

import { casesOf, keyOf, passing, rows, urgent } from "./urgency.js";

/** @typedef {import("./urgency.js").Row} Row */

export class Ordered {
  constructor() {
    /** @type {Map<string, Row>} by key */
    this.rows = new Map();
    /** @type {Row[]} those that pass the filters, the most urgent first */
    this.shown = [];
    /** @type {Map<string, string>} the key of each finding */
    this.key = new Map();
    /** @type {Map<string, Set<string>>} the findings of each key */
    this.findings = new Map();
    /** @type {Map<string, Set<string>>} the keys of each subject */
    this.subjects = new Map();
    this.cases = new Map();
    /** @type {(row: Row) => boolean} */
    this.passes = () => true;
    // what changed since the rows were last made
    this.whole = true;
    /** @type {Set<string>} */
    this.touched = new Set();
  }

  /** Other cases: all rows anew. */
  of(cases) {
    this.cases = casesOf(cases);
    this.whole = true;
  }

  filter(filters, me) {
    this.passes = passing(filters, me);
    this.sort([...this.rows.values()]);
  }

  sort(all) {
    this.shown = all.filter(this.passes).sort(urgent);
  }

  /**
   * Take note of a change; several may come before the rows are made.
   * @param {import("../state.js").Picture} picture
   */
  hear({ changes: { findings, incidents }, findings: features }) {
    this.whole ||= !findings || !incidents;
    if (this.whole) return;
    for (const id of [...(findings?.upserted ?? []), ...(findings?.removed ?? [])]) {
      const before = this.key.get(id);
      if (before !== undefined) this.touched.add(before);
      const one = features.get(id);
      if (one) this.touched.add(this.note(one));
      else this.forget(id);
    }
    for (const id of [...(incidents?.upserted ?? []), ...(incidents?.removed ?? [])])
      for (const key of this.subjects.get(id) ?? []) this.touched.add(key);
  }

  note(feature) {
    const key = keyOf(feature);
    if (this.key.get(feature.id) !== key) this.forget(feature.id);
    this.key.set(feature.id, key);
    into(this.findings, key, feature.id);
    into(this.subjects, feature.properties.subject_id ?? "", key);
    return key;
  }

  forget(id) {
    this.findings.get(this.key.get(id) ?? "")?.delete(id);
    this.key.delete(id);
  }

  /**
   * Make the rows that are other than before; gives them, and whether they are all there are.
   * @param {import("../state.js").Picture} picture
   * @returns {{made: Row[], whole: boolean}}
   */
  make(picture) {
    const [whole, touched] = [this.whole, this.touched];
    this.whole = false;
    this.touched = new Set();
    if (whole) {
      for (const kept of [this.key, this.findings, this.subjects]) kept.clear();
      for (const one of picture.findings.values()) this.note(one);
      const made = rows(picture.findings.values(), picture.incidents, this.cases);
      this.rows = new Map(made.map((row) => [row.key, row]));
      this.sort(made);
      return { made, whole };
    }
    if (!touched.size) return { made: [], whole };
    const ids = [...touched].flatMap((key) => [...(this.findings.get(key) ?? [])]);
    const features = ids.map((id) => picture.findings.get(id)).filter(Boolean);
    const made = rows(features, picture.incidents, this.cases);
    for (const key of touched) this.rows.delete(key);
    for (const row of made) this.rows.set(row.key, row);
    this.shown = merged(
      this.shown.filter((row) => !touched.has(row.key)),
      made.filter(this.passes).sort(urgent),
    );
    return { made, whole };
  }
}

function into(map, key, value) {
  const found = map.get(key);
  if (found) found.add(value);
  else map.set(key, new Set([value]));
}

/** Two ordered lists as one. */
function merged(all, few) {
  if (!few.length) return all;
  const out = [];
  let at = 0;
  for (const row of all) {
    while (at < few.length && urgent(few[at], row) < 0) out.push(few[at++]);
    out.push(row);
  }
  return out.concat(few.slice(at));
}
