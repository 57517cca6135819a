// The chain of evidence: incident, events, observations, and the record as it came, with its hash. Opened on demand,
// as every reading of it is logged.

import { el, fill } from "../dom.js";
import { between, number, place, share, t, term, when } from "../text.js";
import { english, facts, failed, loading, time } from "./parts.js";

/**
 * A closed chain; opening it asks the service.
 * @param {string} id  of a finding, case, incident, event or track
 * @param {any} api
 * @param {any} session
 */
export function chain(id, api, session) {
  const inside = el("div", { class: "chain" });
  const open = async () => {
    fill(inside, loading());
    try {
      const told = await api.get(`/api/evidence/${id}`);
      fill(inside, tree(told));
      inside.querySelector("summary")?.focus();
    } catch (error) {
      fill(inside, failed(error, open, session));
    }
  };
  const button = el("button", { type: "button", class: "evidence-open", on: { click: open } }, t("evidence.open"));
  fill(inside, button, el("p", { class: "soft" }, t("evidence.logged")));
  return { element: inside, open };
}

function tree(told) {
  const events = told.events ?? [];
  const loose = told.observations ?? [];
  return [
    el("p", { class: "soft" }, t("evidence.edition", { edition: told.edition ?? null })),
    told.incident && incident(told.incident, events),
    !told.incident && events.map((one) => event(one)),
    told.track && facts([t("evidence.track"), term(told.track.what)], [t("evidence.identity"), told.track.identity]),
    loose.map((one) => observation(one)),
    !told.incident && !events.length && !loose.length && el("p", {}, t("evidence.none")),
  ];
}

const folded = (open, name, summary, ...inside) =>
  el("details", { class: name, open }, el("summary", {}, summary), inside);

const counted = (row) => {
  if (row.count === null || row.count === undefined) return null;
  return row.count_max && row.count_max !== row.count
    ? `${number(row.count)}–${number(row.count_max)}`
    : number(row.count);
};

const spread = (row) =>
  row.major_m !== null &&
  row.major_m !== undefined &&
  t("evidence.within_m", { major: Math.round(row.major_m), minor: Math.round(row.minor_m ?? row.major_m) });

function incident(row, events) {
  return folded(
    true,
    "incident",
    [t("evidence.incident"), ": ", term(row.what), ", ", place(row.place)],
    facts(
      [t("evidence.when"), between(row.first_at, row.last_at)],
      [t("evidence.where"), spread(row)],
      [t("evidence.count"), counted(row)],
      [t("evidence.means"), row.means && english(row.means)],
      [t("evidence.weapon"), row.weapon && english(row.weapon)],
      [t("evidence.killed"), row.killed],
      [t("evidence.injured"), row.injured],
      [
        t("evidence.p_conflict"),
        row.p_conflict !== null && row.p_conflict !== undefined ? share(row.p_conflict) : null,
      ],
      [t("evidence.id"), code(row.incident_id)],
    ),
    events.map((one) => event(one)),
  );
}

function event(row) {
  const behind = row.observations_behind ?? [];
  return folded(
    true,
    "event",
    [t("evidence.event"), ": ", term(row.what), ", ", between(row.at_from ?? row.at, row.at_until)],
    facts(
      [t("evidence.where"), spread(row)],
      [t("evidence.frp"), row.frp_mw && `${number(row.frp_mw, 1)} MW`],
      [t("evidence.id"), code(row.event_id)],
    ),
    row.conflict?.length
      ? el(
          "ul",
          {},
          row.conflict.map((line) => english(line, "li")),
        )
      : null,
    el("p", { class: "soft" }, t("evidence.observations", { n: behind.length })),
    behind.map((one) => observation(one)),
  );
}

function observation(row) {
  const tie =
    row.log_ratio === null || row.log_ratio === undefined
      ? t("evidence.first")
      : t("evidence.tie", { times: times(row.log_ratio) });
  return folded(
    false,
    "observation",
    [
      t("evidence.observation"),
      ": ",
      el("b", {}, row.source),
      ", ",
      row.sensor ?? "",
      row.sensor ? ", " : "",
      time(row.at),
    ],
    facts(
      [t("evidence.what"), term(row.what)],
      [t("evidence.fused"), tie],
      [t("evidence.received"), row.received_at && when(row.received_at, "whole")],
      [t("evidence.where"), spread(row)],
      [t("evidence.count"), counted(row)],
      [t("evidence.text"), row.text],
      [t("evidence.claims"), row.party && t("evidence.claim", { party: row.party })],
      [t("evidence.licence"), row.licence],
      [t("evidence.file"), row.file && t("evidence.record", { file: row.file, record: String(row.record ?? "") })],
      [t("evidence.id"), code(row.observation_id)],
    ),
    row.raw !== undefined && [
      el("p", { class: "soft" }, t("evidence.raw")),
      el("pre", { class: "raw", tabindex: "0", "aria-label": t("evidence.raw") }, row.raw),
      facts([t("evidence.sha256"), code(row.raw_sha256)], [t("evidence.leaf"), code(row.leaf)]),
    ],
  );
}

const code = (text) => text && el("code", {}, text);

/** How many times likelier one occurrence is than two. */
function times(logRatio) {
  const ratio = Math.exp(Math.min(Math.abs(logRatio), 50));
  return ratio > 1e6 ? `>${number(1e6)}` : number(ratio, ratio < 10 ? 1 : 0);
}
