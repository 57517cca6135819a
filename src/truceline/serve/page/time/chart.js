// The time line's drawing: counts as bars, likely breaches in them, silence of sources as lanes below.

import { el, fill } from "../dom.js";
import { t, when } from "../text.js";

const BARS = 40; // px of height for the counts
const LANE = 10;
const AXIS = 16;
const LANES = 4; // more silent sources than this are told in words above the map

/**
 * @typedef {{from: Date, until: Date, bucket_s: number, incidents: (number|null)[], findings: (number|null)[],
 *   silent: {source: string, from: string, until: string | null}[]}} Counts
 */

/** Where a time is in a width. */
export const scale = ({ from, until }, width) => (at) => ((at - from) / (until - from)) * width;

/** Steps of the axis: as few as leave a hundred pixels each. */
export function ticks({ from, until }, width) {
  const steps = [5, 15, 30, 60, 180, 360, 720, 1440, 2880, 10_080].map((minutes) => minutes * 60_000);
  const step = steps.find((ms) => ((until - from) / ms) * 90 < width) ?? steps[steps.length - 1];
  const made = [];
  for (let at = Math.ceil(from / step) * step; at < until; at += step) made.push(new Date(at));
  return { step, made };
}

const short = (name) => (name.length > 12 ? `${name.slice(0, 11)}…` : name);

/**
 * Draw into an svg element; what it gives is its height.
 * @param {any} svg
 * @param {Counts} counts
 * @param {number} width
 */
export function draw(svg, counts, width) {
  const x = scale(counts, width);
  const sources = [...new Set(counts.silent.map((one) => one.source))].slice(0, LANES);
  const height = BARS + sources.length * LANE + AXIS + (sources.length ? 3 : 0);
  const most = Math.max(4, ...counts.incidents.map((n) => n ?? 0));
  const wide = x(+counts.from + counts.bucket_s * 1000);
  const bar = (n, i, kind) => {
    if (!n) return null;
    const tall = Math.max(2, (n / most) * (BARS - 4));
    return el("svg:rect", { class: kind, x: (i * wide + 0.5).toFixed(2), y: (BARS - tall).toFixed(2), width: Math.max(1, wide - 1).toFixed(2), height: tall.toFixed(2) });
  };
  const { step, made } = ticks(counts, width);
  const label = (at, i) => {
    if (step >= 86_400_000) return when(at, "day");
    const begins = i === 0 || when(at, "day") !== when(made[i - 1], "day");
    return begins ? when(at, "moment") : when(at, "time");
  };
  fill(
    svg,
    el("svg:line", { class: "axis", x1: 0, x2: width, y1: BARS + 0.5, y2: BARS + 0.5 }),
    counts.incidents.map((n, i) => bar(n, i, "count")),
    counts.findings.map((n, i) => bar(Math.min(n ?? 0, counts.incidents[i] ?? n ?? 0), i, "likely")),
    counts.silent
      .filter((one) => sources.includes(one.source))
      .map((one) => {
        const [begin, end] = [Math.max(0, x(new Date(one.from))), Math.min(width, one.until ? x(new Date(one.until)) : width)];
        const y = BARS + 4 + sources.indexOf(one.source) * LANE;
        if (end <= begin) return null;
        return el("svg:rect", { class: "silent", x: begin.toFixed(1), y, width: (end - begin).toFixed(1), height: LANE - 3 }, el("svg:title", {}, t("time.silent", { source: one.source, from: when(one.from), until: one.until ? when(one.until) : "…" })));
      }),
    // names stand before the lanes, in the margin that style.css leaves them
    sources.map((name, lane) => el("svg:text", { class: "lane", x: -6, y: BARS + 2 + (lane + 1) * LANE }, el("svg:title", {}, name), short(name))),
    made.map((at, i) => [
      el("svg:line", { class: "tick", x1: x(at).toFixed(1), x2: x(at).toFixed(1), y1: 0, y2: height - AXIS + 3 }),
      el("svg:text", { class: "when", x: (x(at) + 3).toFixed(1), y: height - 3 }, label(at, i)),
    ]),
  );
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", String(height));
  return height;
}
