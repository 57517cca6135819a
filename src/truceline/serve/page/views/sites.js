// The board of sites: what happened round each, ring by ring, and how long it has been quiet.

import { el, fill } from "../dom.js";
import { number, t, when } from "../text.js";
import { listed } from "./doing.js";
import { connection, empty, failed, heading, loading, probability, scope } from "./parts.js";
import { clauseName } from "./row.js";

export const name = "sites";
export const title = "sites.title";

/** Rings round a site, in km beyond its own radius. */
const RINGS_KM = [0, 5, 10];
const KM_A_DEGREE = 111.2;
const DAY_MS = 86_400_000;
const CLOSE = 10.5;

/**
 * What the picture has round a site: incidents in each ring, and when the last one inside the widest was.
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
    if (!last || properties.last_at > last) last = properties.last_at;
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
    told.sort((a, b) => Number(b.site.protected ?? 0) - Number(a.site.protected ?? 0) || b.counts[0] - a.counts[0] || String(b.last ?? "").localeCompare(String(a.last ?? "")));
    fill(list, told.map((one) => el("li", {}, card(one, values))));
  }

  function card({ site, counts, last }, values) {
    const now = (values.picture.at ?? new Date()).getTime();
    const days = site.quiet_days ?? (last ? Math.max(0, Math.floor((now - Date.parse(last)) / DAY_MS)) : null);
    const inside = [...values.picture.findings.values()].filter(({ properties }) => (site.clauses ?? []).includes(properties.clause) && (properties.p_breach ?? 0) >= 0.5);
    const worst = inside.sort((a, b) => b.properties.p_breach - a.properties.p_breach)[0];
    const show = () => state.set({ map: [CLOSE, site.lat, site.lon] });
    return el(
      "article",
      { class: `site ${counts[0] ? "hit" : ""}` },
      el("h3", {}, site.name ?? site.site_id, site.protected && el("span", { class: "protected" }, t("sites.protected"))),
      el("p", { class: "soft" }, (site.clauses ?? []).map((clause) => clauseName(clause, values.mission)).join(" · ")),
      el(
        "dl",
        { class: "rings" },
        RINGS_KM.map((km, n) => el("div", { class: n === 0 && counts[0] ? "hit" : null }, el("dt", {}, n ? t("sites.ring", { from: RINGS_KM[n - 1], to: km }) : t("sites.inside", { km: number((site.radius_m ?? 0) / 1000, 1) })), el("dd", {}, number(counts[n])))),
        el("div", {}, el("dt", {}, t("sites.quiet")), el("dd", {}, days === null ? t("sites.quiet.window", { hours: values.mission?.window_h ?? 48 }) : t("duration.days", { n: days }))),
        el("div", {}, el("dt", {}, t("sites.last")), el("dd", {}, last ? when(last) : t("common.none"))),
      ),
      worst && el("p", {}, el("a", { href: `#sites/finding/${worst.id}` }, t("sites.findings", { n: inside.length })), " ", probability(worst.properties.p_breach)),
      el("div", { class: "actions" }, el("button", { type: "button", on: { click: show } }, t("common.show_on_map"))),
    );
  }

  const stops = [state.on(["picture", "connection", "mission"], show)];
  load();
  return () => stops.forEach((stop) => stop());
}
