// The pointer over the map: what is under it explains itself, a click selects it.

import { t, term } from "../text.js";
import * as words from "./words.js";

// Fingers and tired hands: what is so near counts as hit.
const REACH = 6;
// The most particular first: what lies on top of what.
const HITS = ["track-symbol", "incident", "event", "site-point", "line-actual", "line-former", "zone-edge", "zone-fill"];

/** Listens to a map's pointer. */
export class Pointer {
  /**
   * @param {any} map
   * @param {{state: import("../state.js").State, dots: import("./dots.js").Dots, incidents: any, hint: any,
   *   agreement: any, tracks: import("../tracks.js").Tracks}} about
   */
  constructor(map, about) {
    Object.assign(this, about);
    this.map = map;
    this.about = about;
    this.asked = 0;
    map.on("mousemove", (event) => {
      this.last = event;
      this.asked ||= requestAnimationFrame(() => this.hover());
    });
    map.on("mouseout", () => this.leave());
    map.on("movestart", () => this.leave());
    map.on("click", (event) => this.click(event));
  }

  leave() {
    this.last = null;
    this.about.hint.hide();
  }

  hover() {
    this.asked = 0;
    if (!this.last || this.map.isMoving()) return;
    const hit = this.hit(this.last);
    this.map.getCanvas().style.cursor = hit ? "pointer" : "";
    if (!hit) return this.about.hint.hide();
    this.about.hint.show(this.last.point, words.card(hit.title, hit.lines));
  }

  click(event) {
    const hit = this.hit(event);
    this.about.state.set({ selected: hit?.id ? { kind: hit.kind, id: hit.id } : null });
  }

  /** The thing under a point: its kind, id, title and lines; null where there is none. */
  hit({ point, lngLat }) {
    const { state, dots, incidents, agreement, tracks } = this.about;
    const { picture, at, mode } = state.get();
    const area = [
      [point.x - REACH, point.y - REACH],
      [point.x + REACH, point.y + REACH],
    ];
    const layers = HITS.filter((id) => this.map.getLayer(id));
    const found = this.map.queryRenderedFeatures(area, { layers });
    const best = HITS.map((id) => found.find((one) => one.layer.id === id)).find(Boolean);
    const row = best?.layer.id === "track-symbol" ? tracks.find(best.properties.id) : dots.near(lngLat, REACH, this.map.getZoom());
    if (row >= 0) {
      const one = tracks.of(row);
      const now = mode === "live" ? new Date(tracks.at * 1000) : (at ?? new Date(tracks.at * 1000));
      return { kind: "track", id: one.id, title: term(one.what), lines: words.track(one, now) };
    }
    if (!best) return null;
    const { id, date } = best.properties;
    switch (best.layer.id) {
      case "incident": {
        const one = picture.incidents.get(id);
        return one && { kind: "incident", id, title: words.title(one), lines: words.incident(one, incidents.likely(id).length) };
      }
      case "event": {
        const one = picture.events.get(id);
        return one && { kind: "event", id, title: words.title(one), lines: words.event(one) };
      }
      case "site-point": {
        const one = agreement.sites.find((site) => (site.properties.site_id ?? site.id) === (best.properties.site_id ?? id));
        return one && { kind: "site", id: one.id, title: one.properties.name, lines: words.site(one) };
      }
      case "line-actual":
      case "line-former":
        return { kind: "line", id: date, title: t("line.title"), lines: words.line({ properties: best.properties }) };
      default: {
        const one = agreement.zones.find((zone) => zone.properties.id === id);
        return one && { kind: "zone", id, title: one.properties.name || id, lines: words.zone(one) };
      }
    }
  }
}
