// The queue's filters; they live in the address, so that a view can be sent to a colleague.

import { el } from "../dom.js";
import { t } from "../text.js";
import { party } from "./parts.js";
import { clauseName, stateName } from "./row.js";
import { NO_CASE, SEVERITIES } from "./urgency.js";

/**
 * The form. It is made once and kept, so that nobody loses what they are writing in; `refresh` brings its choices up
 * to date.
 * @param {any} state
 * @param {() => string | null} bounds  of the map: west,south,east,north
 */
export function filterForm(state, bounds) {
  const set = (name, value) => {
    const filters = { ...state.get().filters };
    if (value) filters[name] = value;
    else delete filters[name];
    state.set({ filters });
  };
  const choice = (name) =>
    el("select", { name, "aria-label": t(`filter.${name}`), on: { change: (event) => set(name, event.target.value) } });
  const selects = Object.fromEntries(
    ["severity", "state", "clause", "reading", "assignee"].map((name) => [name, choice(name)]),
  );
  const words = el("input", {
    type: "search", name: "text", placeholder: t("filter.text"), "aria-label": t("filter.text"), autocomplete: "off",
    on: { input: (event) => set("text", event.target.value.trim()) },
  }); // prettier-ignore
  const here = el("input", {
    type: "checkbox",
    name: "bbox",
    on: { change: (event) => set("bbox", event.target.checked ? bounds() : "") },
  });
  const clear = el(
    "button",
    { type: "button", class: "quiet", on: { click: () => state.set({ filters: {} }) } },
    t("filter.clear"),
  );
  const element = el(
    "form",
    {
      class: "filters",
      role: "search",
      "aria-label": t("filter.title"),
      on: { submit: (event) => event.preventDefault() },
    },
    words,
    Object.values(selects),
    el("label", { class: "here" }, here, t("filter.bbox")),
    clear,
  );

  // what there is to choose: looked through whole only when all is new
  const found = { states: new Set(), clauses: new Map(), readings: new Set(), people: new Set() };

  /**
   * Choices out of what there is, and what the address says of each.
   * @param {Iterable<any>} rows  those that are new
   * @param {boolean} whole  whether they are all there are
   */
  function refresh(rows, whole, values, me) {
    const { filters, mission } = values;
    if (whole) for (const one of Object.values(found)) one.clear();
    for (const row of rows) {
      found.states.add(row.state);
      found.clauses.set(row.clause, row.sentence);
      for (const reading of Object.keys(row.readings)) found.readings.add(reading);
      if (row.assignee) found.people.add(row.assignee);
    }
    const ordered = (some) =>
      [...some].filter(Boolean).sort((a, b) => String(a).localeCompare(String(b), undefined, { numeric: true }));
    options(
      selects.severity,
      SEVERITIES.map((one) => [one, t(`severity.${one}`)]),
      filters.severity,
    );
    const states = ordered(found.states).map((one) => [one, stateName({ state: one, reopened: false })]);
    options(selects.state, [["waiting", t("filter.waiting")], ...states], filters.state);
    options(
      selects.clause,
      ordered(found.clauses.keys()).map((one) => [one, clauseName(one, mission, found.clauses.get(one))]),
      filters.clause,
    );
    options(
      selects.reading,
      ordered(found.readings).map((one) => [one, t("filter.read_by", { party: party(one, mission) })]),
      filters.reading,
    );
    const people = ordered(found.people)
      .filter((one) => one !== me)
      .map((one) => [one, one]);
    options(
      selects.assignee,
      [...(me ? [["me", t("filter.mine")]] : []), ["nobody", t("filter.nobodys")], ...people],
      filters.assignee,
    );
    selects.state.hidden = [...found.states].every((one) => one === NO_CASE);
    selects.assignee.hidden = values.session?.label !== "mission" || !me;
    here.checked = Boolean(filters.bbox);
    here.disabled = !filters.bbox && !bounds();
    if (document.activeElement !== words) words.value = filters.text ?? "";
    clear.hidden = !Object.keys(filters).length;
  }
  return { element, refresh, words };
}

function options(select, pairs, chosen = "") {
  const all = [["", t(`filter.${select.name}`)], ...pairs];
  // several at once, as a link may say them, are one choice more
  if (chosen && !all.some(([value]) => value === chosen)) all.push([chosen, chosen]);
  const now = all.map(([value, text]) => `${value}\n${text}`).join("\n\n");
  if (select.dataset.now !== now) {
    select.replaceChildren(...all.map(([value, text]) => el("option", { value }, text)));
    select.dataset.now = now;
  }
  select.value = chosen;
  select.classList.toggle("set", Boolean(chosen));
}
