// One row of the queue: what, where, when, how grave, how probable, whose turn.

import { el } from "../dom.js";
import { between, duration, place, share, t, term } from "../text.js";
import { party, probability, severity } from "./parts.js";
import { NO_CASE } from "./urgency.js";

/** A clause as people say it: "3.1 Guns". The agreement's words come with the mission, or with the sentence. */
export function clauseName(id, mission, sentence = "") {
  const known = (mission?.clauses ?? []).find((one) => one.id === id)?.title;
  const said = /^Clause \S+ \((.+?)\), as /.exec(sentence)?.[1];
  return [id, known ?? said].filter(Boolean).join(" ");
}

/** What happened, in the reader's words: "explosion, 4 heard". */
export function happened(row) {
  return row.kind === "duty" ? t("subject.duty") : term(row.what);
}

/** The state of a case in words; one whose evidence changed after it was signed says so first. */
export const stateName = (row) =>
  row.reopened ? t("case.reopened") : t(`case.${row.state === NO_CASE ? "none" : row.state}`);

/**
 * @param {import("./urgency.js").Row} row
 * @param {{values: any, href: string, chosen: boolean, choose: ((row: any, on: boolean) => void) | null, now: number}} how
 */
export function line(row, { values, href, chosen, choose, now }) {
  const readings = Object.entries(row.readings);
  const differ = new Set(readings.map(([, one]) => share(one.p))).size > 1;
  const waited = row.from ? (now - Date.parse(row.from)) / 1000 : null;
  const title = `${happened(row)}${row.place ? `, ${place(row.place)}` : ""}`;
  const link = el(
    "a",
    { href, class: "open", data: { key: row.key } },
    el("span", { class: "first" }, el("span", { class: "what" }, title), probability(row.p)),
    el(
      "span",
      { class: "second" },
      severity(row.severity),
      el("span", { class: "clause" }, clauseName(row.clause, values.mission, row.sentence)),
    ),
    el(
      "span",
      { class: "second" },
      el("span", { class: "when" }, between(row.from, row.until)),
      waited !== null && waited > 0 && el("span", { class: "age" }, t("queue.ago", { time: duration(waited) })),
      el("span", { class: `case ${row.reopened ? "reopened" : ""}` }, stateName(row)),
      row.assignee && el("span", {}, t("queue.with", { name: row.assignee })),
      row.provisional && el("span", { class: "provisional" }, t("common.provisional")),
      differ &&
        readings.map(([id, one]) =>
          el(
            "span",
            { class: "reading" },
            `${party(id, values.mission)} ${one.in_force === false ? t("finding.not_in_force_short") : share(one.p)}`,
          ),
        ),
    ),
  );
  const box =
    choose &&
    el("input", {
      type: "checkbox",
      checked: chosen,
      "aria-label": t("queue.select", { what: title }),
      on: { change: (event) => choose(row, event.target.checked) },
    });
  return el("li", { class: `row ${row.severity}${chosen ? " chosen" : ""}` }, box, link);
}
