// What a finding is about: the clause as each party reads it, when and where, what is like it.

import { el } from "../dom.js";
import { showOnMap } from "../shell.js";
import { between, number, place, share, t, term, when } from "../text.js";
import { facts, probability } from "./parts.js";
import { clauseName } from "./row.js";

// A step this close is what one sees a village's surroundings at.
const CLOSE = 10;

/**
 * The clause's words, and beside them each party's: what it reads, whether it was in force, what it comes to.
 * @param {any} told  the finding
 * @param {any} mission
 * @param {(id: string) => string} address  of a finding's page
 */
export function readings(told, mission, address) {
  const clause = told.clause ?? {};
  const of = new Map((told.readings ?? []).filter((one) => one.clause === clause.id).map((one) => [one.reading, one]));
  if (told.reading) of.set(told.reading, told);
  const force = (one) =>
    t(
      !one
        ? "finding.force_unknown"
        : one.in_force
          ? "finding.in_force"
          : one.in_force === false
            ? "finding.not_in_force"
            : "finding.force_unknown",
    );
  const line = (one) => {
    const held = of.get(one.party);
    const name = held && held !== told ? el("a", { href: address(held.id) }, one.name) : one.name;
    return el(
      "tr",
      { class: held === told ? "this" : null },
      el("th", { scope: "row" }, name, held === told && el("small", {}, t("readings.this"))),
      el(
        "td",
        {},
        one.text || t("readings.same"),
        one.denies && el("small", {}, t("readings.denies")),
        one.note && el("small", {}, one.note),
        one.in_force_from && el("small", {}, t("readings.from", { at: when(one.in_force_from, "whole") })),
      ),
      el("td", {}, force(held)),
      el("td", { class: "n" }, share(held?.p_breach)),
    );
  };
  const others = (told.readings ?? []).filter((one) => one.clause !== clause.id && one.reading === told.reading);
  return [
    clause.text && el("blockquote", { class: "clause" }, clause.text),
    told.illustrative && el("p", { class: "state" }, t("finding.illustrative")),
    clause.readings?.length
      ? el(
          "table",
          { class: "readings" },
          el("caption", {}, t("readings.caption")),
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              ["readings.party", "readings.text", "readings.force", "readings.p"].map((key) =>
                el("th", { scope: "col" }, t(key)),
              ),
            ),
          ),
          el("tbody", {}, clause.readings.map(line)),
        )
      : null,
    facts(
      [t("finding.exemption"), told.exemption],
      [
        t("finding.coverage"),
        told.coverage && (told.coverage === "not assessed" ? t("finding.coverage.none") : told.coverage),
      ],
      [
        t("finding.also"),
        others.length
          ? others.map((one) =>
              el(
                "a",
                { href: address(one.id), class: "also" },
                clauseName(one.clause, mission, one.sentence),
                " ",
                share(one.p_breach),
              ),
            )
          : null,
      ],
    ),
  ];
}

/** When and where, with ways to look at it on the map and in its time. */
export function context(told, state) {
  const about = told.place ?? {};
  const placed = typeof about.lon === "number" && typeof about.lat === "number";
  const show = () => showOnMap(state, Math.max(state.get().map?.[0] ?? 0, CLOSE), about.lat, about.lon);
  const then = () => state.set({ mode: "paused", at: new Date(told.first_breach_until ?? told.first_breach_from) });
  return [
    facts(
      [t("finding.when"), between(told.first_breach_from ?? about.first_at, told.first_breach_until ?? about.last_at)],
      [t("finding.what"), about.what && term(about.what)],
      [t("finding.where"), about.place && place(about.place)],
      [
        t("finding.within"),
        about.major_m &&
          t("evidence.within_m", {
            major: Math.round(about.major_m),
            minor: Math.round(about.minor_m ?? about.major_m),
          }),
      ],
    ),
    el(
      "div",
      { class: "actions" },
      placed &&
        el(
          "button",
          { type: "button", "aria-keyshortcuts": "m", on: { click: show } },
          t("common.show_on_map"),
          el("kbd", { "aria-hidden": "true" }, "m"),
        ),
      told.first_breach_from && el("button", { type: "button", on: { click: then } }, t("finding.show_then")),
    ),
    !placed && el("p", { class: "soft" }, t("finding.no_place")),
  ];
}

/** Findings like it near by, the most alike first. */
export const similar = (list, address) =>
  el(
    "ul",
    { class: "similar" },
    list.map((one) =>
      el(
        "li",
        {},
        el("a", { href: address(one.id), lang: "en" }, /: (.+?), probability/.exec(one.sentence)?.[1] ?? one.sentence),
        " ",
        probability(one.p_breach),
        " ",
        el("small", {}, t("finding.apart", { km: number(one.distance_m / 1000, 1), days: number(one.days, 1) })),
      ),
    ),
  );
