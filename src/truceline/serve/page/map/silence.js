// What was not heard, as plainly as what was: which sources are silent, since when, and where that matters.

import { el, fill } from "../dom.js";
import { duration, t, when } from "../text.js";
import { collection, feature } from "./geometry.js";

/**
 * Sources that are silent at the time shown: as the board says now, as the time line says of then.
 * @param {import("../state.js").Values} values
 * @param {{source: string, from: string, until: string | null}[]} spans  of the time line
 * @returns {{id: string, since: Date | null, bounds: number[] | null}[]}
 */
export function silent({ mode, at, sources, mission }, spans) {
  const bounds = (id) => (mission?.sources ?? []).find((one) => one.id === id)?.bounds ?? null;
  if (mode === "live" || !at)
    return sources
      .filter((one) => one.state === "silent" || one.state === "refusing")
      .map((one) => ({ id: one.id, since: date(one.silent_since ?? one.last_at), bounds: one.bounds ?? bounds(one.id) }));
  return spans
    .filter((one) => new Date(one.from) <= at && (!one.until || at < new Date(one.until)))
    .map((one) => ({ id: one.source, since: date(one.from), bounds: bounds(one.source) }));
}

const date = (text) => (text ? new Date(text) : null);

/** The strip over the map: always there, also when all is heard. */
export function strip(element, values, quiet, choose) {
  const now = values.mode === "live" ? values.picture.at : values.at;
  element.dataset.silent = String(quiet.length);
  const waiting = values.sources.filter((one) => one.state === "waiting").length;
  const none = () => {
    if (values.mode !== "live") return t("silence.none.then");
    if (!values.sources.length) return t("silence.unknown");
    return waiting ? t("silence.waiting", { n: waiting, all: values.sources.length }) : t("silence.none", { n: values.sources.length });
  };
  if (!quiet.length) return fill(element, el("span", {}, none()));
  return fill(
    element,
    el("strong", {}, t("silence.some", { n: quiet.length })),
    quiet.map((one) =>
      el(
        "button",
        { type: "button", data: { source: one.id }, on: { click: () => choose(one) } },
        el("b", {}, one.id),
        el("span", {}, one.since ? t("silence.since", { at: when(one.since), for: now ? duration((now - one.since) / 1000) : "—" }) : t("silence.never")),
        el("span", { class: "soft" }, one.bounds ? t("silence.where") : t("silence.nowhere")),
      ),
    ),
  );
}

/** Outlines of what silent sources would have seen. */
export const areas = (quiet) =>
  collection(
    quiet
      .filter((one) => one.bounds)
      .map(({ id, bounds: [west, south, east, north] }) =>
        feature({ type: "Polygon", coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]] }, { id }),
      ),
  );

export const silenceLayers = (c) => [
  { id: "silent-fill", type: "fill", source: "silent", paint: { "fill-color": c.silent, "fill-opacity": 0.04 } },
  {
    id: "silent-edge",
    type: "line",
    source: "silent",
    paint: { "line-color": c.silent, "line-width": 1.6, "line-dasharray": [1.5, 2.5] },
  },
  {
    id: "silent-name",
    type: "symbol",
    source: "silent",
    layout: {
      "symbol-placement": "line",
      "text-field": ["get", "id"],
      "text-font": ["Inter Variable"],
      "text-size": 11.5,
      "text-offset": [0, 0.9],
      "symbol-spacing": 600,
    },
    paint: { "text-color": c.silent, "text-halo-color": c.halo, "text-halo-width": 1.4 },
  },
];
