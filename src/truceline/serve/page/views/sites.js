// The board of sites: what happened round each, ring by ring, and how long it has been quiet.

import { el, fill } from "../dom.js";
import { showOnMap } from "../shell.js";
import { number, t, when } from "../text.js";
import { listed } from "./doing.js";
import { connection, empty, failed, heading, loading, probability, scope } from "./parts.js";
import { clauseName } from "./row.js";

export const name = "sites";
export const title = "sites.title";

/** Rings round a site, in km beyond its own radius. */
const RINGS_KM = [0, 5, 10];
const KM_A_DEGREE = 111.2;
/** From here a breach is as likely as not. */
const LIKELY = 0.5;
const CLOSE = 10.5;

/**
 * What the picture has round a site: incidents in each ring, and when the last one inside the widest began.
 * @param {{lon: number, lat: number, radius_m: number}} site
 * @param {Iterable<any>} incidents  features
 */
export function round(site, incidents) {
  const counts = RINGS_KM.map(() => 0);
  let last = null;
  for (const { geometry, properties } of incidents) {
    if (geometry?.type !== "Point") continue;
    const [lon, lat] = geometry.coordinates;
    const east = (lon - site.lon) * KM_A_DEGREE * Math.cos((site.lat * Math.PI) / 180);
    const away = Math.hypot(east, (lat - site.lat) * KM_A_DEGREE) - (site.radius_m ?? 0) / 1000;
    const ring = RINGS_KM.findIndex((km) => away <= km);
    if (ring < 0) continue;
    counts[ring] += 1;
    if (!last || properties.first_at > last) last = properties.first_at;
  }
  return { counts, last };
}

export function mount(element, state, api) {
  const session = state.get().session;
  let sites = null;
  const above = el("div", {});
  const list = el("ul", { class: "board" }, el("li", {}, loading()));
  fill(element, heading(t("sites.title")), above, scope(session), el("p", { class: "soft" }, t("sites.what")), list);

  async function load() {
    try {
      sites = listed(await api.get("/api/sites"), "sites");
      show();
    } catch (error) {
      fill(list, el("li", {}, failed(error, load, session)));
    }
  }

  function show() {
    const values = state.get();
    fill(above, connection(values));
    if (!sites) return;
    if (!sites.length) return void fill(list, el("li", {}, empty(t("sites.none"), t("sites.none.do"))));
    const told = sites.map((site) => ({ site, ...round(site, values.picture.incidents.values()) }));
    told.sort(
      (a, b) =>
        Number(b.site.protected ?? 0) - Number(a.site.protected ?? 0) ||
        b.counts[0] - a.counts[0] ||
        String(b.last ?? "").localeCompare(String(a.last ?? "")),
    );
    fill(
      list,
      told.map((one) => el("li", {}, card(one, values))),
    );
  }

  function card({ site, counts, last }, values) {
    const findings = site.findings ?? [];
    const likely = findings.filter((one) => (one.p_breach ?? 0) >= LIKELY).sort((a, b) => b.p_breach - a.p_breach);
    const show = () => showOnMap(state, CLOSE, site.lat, site.lon);
    return el(
      "article",
      { class: `site ${likely.length ? "hit" : ""}` },
      el("h3", {}, site.name || site.id, site.protected && el("span", { class: "protected" }, t("sites.protected"))),
      el("p", { class: "soft" }, (site.clauses ?? []).map((clause) => clauseName(clause, values.mission)).join(" · ")),
      el(
        "dl",
        { class: "rings" },
        RINGS_KM.map((km, n) =>
          el(
            "div",
            { class: n === 0 && counts[0] ? "hit" : null },
            el(
              "dt",
              {},
              n
                ? t("sites.ring", { from: RINGS_KM[n - 1], to: km })
                : t("sites.inside", { km: number((site.radius_m ?? 0) / 1000, 1) }),
            ),
            el("dd", {}, number(counts[n])),
          ),
        ),
        el("div", {}, el("dt", {}, t("sites.last")), el("dd", {}, last ? when(last) : t("common.none"))),
      ),
      site.days?.length > 0 && days(site.days),
      likely.length > 0 &&
        el(
          "p",
          {},
          el("a", { href: `#sites/finding/${likely[0].id}` }, t("sites.findings", { n: likely.length })),
          " ",
          probability(likely[0].p_breach),
        ),
      el("div", { class: "actions" }, el("button", { type: "button", on: { click: show } }, t("common.show_on_map"))),
    );
  }

  const stops = [state.on(["picture", "connection", "mission"], show)];
  load();
  return () => stops.forEach((stop) => stop());
}

/** The last reporting days as marks, and in words how long it has been quiet: a day nobody watched is not a quiet one. */
function days(list) {
  const mark = (one) =>
    el("i", {
      class: one.state.replace(" ", "-"),
      title: `${when(`${one.day}T12:00:00Z`, "day")}: ${t(`sites.day.${one.state}`)}`,
    });
  const back = [...list].reverse();
  const loud = back.findIndex((one) => one.state === "finding");
  const since = loud < 0 ? back : back.slice(0, loud);
  const quiet = since.filter((one) => one.state === "quiet").length;
  return el(
    "div",
    { class: "days" },
    el("span", { class: "marks", "aria-hidden": "true" }, list.map(mark)),
    el(
      "p",
      {},
      t("sites.quiet_days", { n: quiet }),
      since.length > quiet && `, ${t("sites.unwatched_days", { n: since.length - quiet })}`,
    ),
  );
}
