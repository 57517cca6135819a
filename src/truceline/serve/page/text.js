// Every word of the page in the reader's language; numbers, dates and plurals as that language has them.

import { CATALOGUE } from "./catalogue.js";

/** Languages of the catalogue, in the order of its columns; each by its own name. */
export const LANGUAGES = { en: "English", uk: "Українська" };
const CODES = Object.keys(LANGUAGES);
const KEPT = "truceline.language";
// Which of an entry's forms, split at "|", a number takes: English one|other, Ukrainian one|few|many.
const FORMS = { en: ["one", "other"], uk: ["one", "few", "many"] };

let language = first();
let zone = "UTC";
const listeners = new Set();

function first() {
  let kept = null;
  try {
    kept = localStorage.getItem(KEPT);
  } catch {
    // storage may be forbidden; the browser's own language then
  }
  const wished = [kept, ...(globalThis.navigator?.languages ?? [])].map((one) => (one ?? "").slice(0, 2));
  return wished.find((one) => CODES.includes(one)) ?? "en";
}

/** The language in use: "en" or "uk". */
export const lang = () => language;

/** Use another language, and remember it. */
export function speak(code) {
  if (!CODES.includes(code)) throw new Error(`no such language: ${code}`);
  language = code;
  try {
    localStorage.setItem(KEPT, code);
  } catch {
    // then for this visit only
  }
  document.documentElement.lang = code;
  for (const listener of listeners) listener(code);
}

/** Call `listener` when the language changes; what it gives stops that. */
export function onLanguage(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Times are told in this zone: the mission's. */
export function tellIn(name) {
  zone = name || "UTC";
}

/** The zone in which times are told. */
export const toldIn = () => zone;

/** Whether the catalogue has a key. */
export const has = (key) => Object.hasOwn(CATALOGUE, key);

/**
 * The text of a key. `{name}` is replaced by a value (numbers as the language writes them); forms split at "|" are
 * chosen by `n`.
 * @param {string} key
 * @param {Record<string, any>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  if (!has(key)) {
    console.error(`no text for ${key}`);
    return key;
  }
  let text = CATALOGUE[key][CODES.indexOf(language)];
  if (text.includes("|")) {
    const forms = text.split("|");
    const place = FORMS[language].indexOf(new Intl.PluralRules(language).select(Number(values.n ?? 0)));
    text = forms[place] ?? forms[forms.length - 1];
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined || value === null) return name in values ? "—" : whole;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** `explosion.impact` in words; what the catalogue does not know is told by its parent, or as it stands. */
export function term(what, family = "what") {
  if (!what) return t("common.unknown");
  for (let at = String(what); at; at = at.includes(".") ? at.slice(0, at.lastIndexOf(".")) : "")
    if (has(`${family}.${at}`)) return t(`${family}.${at}`);
  return String(what).replaceAll("_", " ");
}

// Formats cost far more to make than to use, and a list uses hundreds.
const formats = new Map();
const format = (key, make) => formats.get(key) ?? formats.set(key, make()).get(key);
const numbers = (least, most) =>
  format(
    `${language} ${least} ${most}`,
    () => new Intl.NumberFormat(language, { minimumFractionDigits: least, maximumFractionDigits: most }),
  );

/** A place as the service says it in English, "4 km ENE of Yevsuh", in the reader's words; the name stays. */
export function place(said) {
  const [, km, wind, name] = /^(\d+) km ([NESW]{1,3}) of (.+)$/.exec(said ?? "") ?? [];
  if (name) return t("place.off", { km: Number(km), wind: t(`place.wind.${wind}`), name });
  return said?.startsWith("in ") ? t("place.in", { name: said.slice(3) }) : (said ?? "");
}

/** A number with at most `digits` decimals; an em dash for null. */
export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return "—";
  return numbers(0, digits).format(value);
}

/** A probability with two decimals; never 0 or 1, as nothing here is that certain. */
export function share(p) {
  if (p === null || p === undefined) return "—";
  const said = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  if (p < 0.005) return `<${said.format(0.01)}`;
  if (p >= 0.995) return `>${said.format(0.99)}`;
  // what float32 added is taken off, and the rest rounded as the sentences round it
  return said.format(Number(Number(p.toPrecision(6)).toFixed(2)));
}

/** @type {Record<string, Intl.DateTimeFormatOptions>} */
const shapes = {
  time: { hour: "2-digit", minute: "2-digit" },
  second: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  day: { day: "numeric", month: "short" },
  date: { day: "numeric", month: "long", year: "numeric" },
  year: { day: "numeric", month: "short", year: "numeric" },
  moment: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  whole: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" },
};

/**
 * A time in the mission's zone.
 * @param {string | number | Date | null | undefined} at  ISO 8601, or milliseconds
 * @param {keyof typeof shapes} [shape]
 */
export function when(at, shape = "moment") {
  const date = at === null || at === undefined ? null : new Date(at);
  if (!date || Number.isNaN(date.getTime())) return t("common.time_unknown");
  const locale = language === "en" ? "en-GB" : language;
  const made = () => new Intl.DateTimeFormat(locale, { ...shapes[shape], timeZone: zone, hourCycle: "h23" });
  return format(`${locale} ${zone} ${shape}`, made).format(date);
}

/** The day of a time in the mission's zone, as inputs take it: "2031-03-15". */
export const dayOf = (at) => format(`day ${zone}`, () => new Intl.DateTimeFormat("en-CA", { timeZone: zone })).format(at);

/** An interval: "15 Mar, 16:04–16:08". */
export function between(from, until) {
  if (!from || !until || from === until) return when(from ?? until);
  const same = when(from, "day") === when(until, "day");
  return `${when(from)}${same ? "–" : " – "}${when(until, same ? "time" : "moment")}`;
}

/** How long: "3 h 20 min", "2 days 4 h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "—";
  const minutes = Math.round(Math.abs(seconds) / 60);
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60), minutes % 60];
  const said = [];
  if (days) said.push(t("duration.days", { n: days }));
  if (hours) said.push(t("duration.hours", { n: hours }));
  if (rest && !days) said.push(t("duration.minutes", { n: rest }));
  return said.length ? said.join(" ") : t("duration.moment");
}
