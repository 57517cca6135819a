// The factors of a probability as a small chart: each bar said in words, with where its number comes from.

import { el } from "../dom.js";
import { has, number, share, t } from "../text.js";
import { english } from "./parts.js";

const WIDE = 150;
const HIGH = 16;

/** What a factor asks, in words: "inside no-fly band" is told by "inside" and its zone, "by Party B" by its party. */
export function asks(name) {
  if (has(`factor.${name}`)) return t(`factor.${name}`);
  const [first, ...rest] = name.split(" ");
  return has(`factor.${first}`) ? t(`factor.${first}`, { of: rest.join(" ") }) : name;
}

/**
 * A bar from 0 to 1: light as far as the factor goes, dark as far as the product has come.
 * @param {number | null} value
 * @param {number | null} product
 */
function bar(value, product) {
  const part = (x, name) =>
    el("svg:rect", { class: name, x: 0, y: 2, height: HIGH - 4, width: Math.max(0, Math.min(1, x ?? 0)) * WIDE });
  return el(
    "svg:svg",
    {
      viewBox: `0 0 ${WIDE} ${HIGH}`,
      width: WIDE,
      height: HIGH,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
      class: "factor-bar",
    },
    el("svg:rect", { class: "track", x: 0, y: 2, height: HIGH - 4, width: WIDE }),
    part(value, "value"),
    part(product, "product"),
    [0.5].map((x) => el("svg:line", { class: "half", x1: x * WIDE, x2: x * WIDE, y1: 0, y2: HIGH })),
  );
}

/**
 * The chart, a table to whoever listens.
 * @param {{name: string, value: number | null, source: string, confidence: string}[]} factors
 * @param {number | null} p  the probability they come to
 */
export function chart(factors, p) {
  let product = 1;
  let unsaid = false;
  const rows = (factors ?? []).map((one) => {
    unsaid ||= one.value === null || one.value === undefined;
    product *= one.value ?? 1;
    return el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        asks(one.name),
        bar(one.value, unsaid ? null : product),
        el("small", {}, english(one.source ?? ""), " · ", t(`confidence.${one.confidence ?? "low"}`)),
      ),
      el("td", { class: "n" }, one.value === 1 || one.value === 0 ? number(one.value, 2) : share(one.value)),
      el("td", { class: "n" }, unsaid ? "—" : share(product)),
    );
  });
  if (!rows.length) return el("p", { class: "soft" }, t("factors.none"));
  const head = ["factors.what", "factors.value", "factors.so_far"];
  return el(
    "table",
    { class: "factors" },
    el("caption", {}, t("factors.caption", { n: rows.length, p: share(p) })),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        head.map((key, n) => el("th", { scope: "col", class: n ? "n" : null }, t(key))),
      ),
    ),
    el("tbody", {}, rows),
  );
}

/** Whose act it was, as likelihoods; "undetermined" stays so. */
export function attribution(likelihoods, party) {
  const told = Object.entries(likelihoods ?? {}).sort(([, a], [, b]) => b - a);
  if (!told.length || (told.length === 1 && told[0][0] === "undetermined")) return el("p", {}, t("attribution.none"));
  return el(
    "ul",
    { class: "attribution" },
    told.map(([id, p]) => el("li", {}, `${party(id)}: ${share(p)}`)),
    el("li", { class: "soft" }, t("attribution.note")),
  );
}

/** The response clock: how long since the first breach, each step beside the time it usually takes. */
export function clock(told, duration) {
  if (!told) return null;
  const row = (step) => {
    const late = step.elapsed_s !== null && step.elapsed_s > step.target_s;
    const said = step.reached_at ? (late ? "clock.late" : "clock.in_time") : late ? "clock.overdue" : "clock.open";
    const part = Math.min(1, (step.elapsed_s ?? 0) / step.target_s);
    return el(
      "tr",
      { class: `${step.reached_at ? "done" : ""} ${late ? "late" : ""} ${step.step === told.next ? "next" : ""}` },
      el(
        "th",
        { scope: "row" },
        t(`clock.${step.step}`),
        el(
          "span",
          { class: "bar", "aria-hidden": "true" },
          el("i", { style: { width: `${Math.round(part * 100)}%` } }),
        ),
      ),
      el(
        "td",
        { class: "n" },
        t("clock.of", { elapsed: duration(step.elapsed_s), target: duration(step.target_s) }),
        el("small", {}, t(said)),
      ),
    );
  };
  const sources = [...new Set(told.steps.map((step) => step.source))];
  return [
    el(
      "table",
      { class: "clock" },
      el(
        "caption",
        {},
        t("clock.caption", { elapsed: told.elapsed_s === null ? number(null) : duration(told.elapsed_s) }),
      ),
      el(
        "thead",
        { class: "unseen" },
        el(
          "tr",
          {},
          ["clock.step", "clock.times"].map((key) => el("th", { scope: "col" }, t(key))),
        ),
      ),
      el("tbody", {}, told.steps.map(row)),
    ),
    sources.map((source) =>
      el(
        "p",
        { class: "note" },
        t("clock.usual", {
          steps: told.steps
            .filter((step) => step.source === source)
            .map((step) => t(`clock.${step.step}`).toLowerCase())
            .join(", "),
        }),
        " ",
        english(source),
      ),
    ),
  ];
}
