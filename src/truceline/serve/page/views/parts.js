// Small pieces that several views show: what to say when there is nothing, marks of severity and probability.

import { el } from "../dom.js";
import { number, share, t, toldIn, when } from "../text.js";

/** Something is on its way. */
export const loading = () => el("p", { class: "state loading", role: "status" }, t("state.loading"));

/** There is nothing, and what that means or what to do. */
export const empty = (title, advice) =>
  el("div", { class: "state empty" }, el("p", {}, title), advice && el("p", { class: "soft" }, advice));

/**
 * What went wrong, and what to do about it.
 * @param {any} error  as the service's client throws it: `status`, `message`
 * @param {() => void} [again]
 * @param {any} [session]
 * @param {boolean} [one]  whether one thing was asked for, that may have become another
 */
export function failed(error, again, session, one = false) {
  const said = (title, advice) =>
    el("div", { class: "state error", role: "alert" }, el("p", {}, t(title)), el("p", { class: "soft" }, advice));
  if (error?.status === 404 && one) return said("state.gone", t("state.gone.do"));
  if (error?.status === 401) return said("state.forbidden", t("state.signin.do"));
  if (error?.status === 403) return said("state.forbidden", t("state.forbidden.do", { role: role(session) }));
  const made = said("state.error", t("state.error.do", { detail: error?.message || t("state.unreachable") }));
  if (again) made.append(el("button", { type: "button", on: { click: again } }, t("common.retry")));
  return made;
}

const role = (session) =>
  session?.role && session.via !== "anonymous" ? t(`role.${session.role}`) : t("session.anonymous");

/** Above a view while the service is not reached: what is seen is old. */
export function connection(values) {
  if (values.connection !== "offline" && values.connection !== "error") return null;
  const at = values.picture.at ? when(values.picture.at, "whole") : "—";
  return el(
    "div",
    { class: "state offline", role: "status" },
    el("strong", {}, t("state.offline")),
    " ",
    t("state.offline.do", { at }),
  );
}

/** What somebody who is not of the mission is shown, and with what delay; null for the mission. */
export function scope(session) {
  const label = session?.label ?? "public";
  return label === "mission" ? null : el("p", { class: "scope" }, t(`seen.${label}`));
}

/** grave, serious, minor: a word and a mark, never the colour alone. */
export const severity = (of) => el("span", { class: `severity ${of}` }, t(`severity.${of}`));

/** A probability: its number, and how far along it goes. */
export const probability = (p, attributes = {}) =>
  el(
    "span",
    { class: "p", ...attributes },
    el(
      "span",
      { class: "bar", "aria-hidden": "true" },
      el("i", { style: { width: `${Math.round((p ?? 0) * 100)}%` } }),
    ),
    el("b", {}, share(p)),
  );

/** Text that the service wrote in English, said to be so to whoever listens. */
export const english = (text, name = "span", attributes = {}) => el(name, { lang: "en", ...attributes }, text);

/** A time, readable by machines, with the zone on demand. */
export const time = (at, shape = "moment") =>
  at
    ? el("time", { datetime: new Date(at).toISOString(), title: `${when(at, "whole")} · ${toldIn()}` }, when(at, shape))
    : t("common.time_unknown");

/** A heading with what may be done beside it. */
export const heading = (title, ...beside) =>
  el("header", { class: "heading" }, el("h2", { tabindex: "-1" }, title), ...beside);

/** A definition list; pairs whose value is null are left out. */
export const facts = (...pairs) =>
  el(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );

/** A party's name, as the agreement gives it. */
export function party(id, mission) {
  if (!id || id === "undetermined") return t("attribution.undetermined");
  const known = (mission?.parties ?? []).find((one) => one.id === id);
  return known?.name ?? id;
}

/** Bytes as people say them. */
export function bytes(n) {
  if (n === null || n === undefined) return "—";
  if (n < 1e3) return `${number(n)} B`;
  return n < 1e6 ? `${number(n / 1e3, 1)} kB` : `${number(n / 1e6, 1)} MB`;
}
