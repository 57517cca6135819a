// The picture of another time: as it is settled now, or as it was known then. The state's picture is replaced by what
// had begun by the time shown, piece by piece, so that lists and map follow as they follow what is live.

import { noPicture } from "../state.js";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const COLLECTIONS = /** @type {const} */ (["incidents", "events", "findings"]);
/** When a feature begins and ends, by collection. */
const SPAN = {
  incidents: ["first_at", "last_at"],
  events: ["at_from", "at_until"],
  findings: ["first_breach_from", "first_breach_until"],
};
/** How often the picture is brought up to the time shown while it runs: slower than the eye is bored, faster than it waits. */
const STEP_MS = 200;
/** A track's last point stays so long. */
const STALE_MS = 15 * 60_000;
/** Points of tracks at once: of an hour, for what a browser holds easily. */
const MOST_POINTS = 100_000;

/** Times of each second of the clock, by second of the viewer. */
export const SPEEDS = [1, 10, 60, 300, 1200, 3600];

/**
 * @param {import("../state.js").State} state
 * @param {import("../api.js").Api} api
 */
export function replay(state, api) {
  /** @type {Map<string, Promise<any>>} */
  const chunks = new Map();
  let held = null; // what is loaded for the time shown
  let wanted = "";
  let speed = 60;
  let frame = 0;
  let last = 0;
  let stepped = 0;

  const windowMs = () => (state.get().mission?.window_h ?? 48) * HOUR_MS;
  const stamp = (ms) => new Date(ms).toISOString();

  /** The newest edition that there was then; null where there was none. */
  async function edition(at) {
    const all = await kept("editions", () => api.get("/api/editions"));
    return all.filter((one) => Date.parse(one.made_at) <= at).reduce((best, one) => (!best || one.number > best.number ? one : best), null);
  }

  function kept(key, ask) {
    if (!chunks.has(key)) {
      const asked = ask();
      asked.catch(() => chunks.delete(key));
      chunks.set(key, asked);
      if (chunks.size > 12) chunks.delete([...chunks.keys()].find((one) => one !== "editions") ?? "");
    }
    return /** @type {Promise<any>} */ (chunks.get(key));
  }

  /** Bring in what is needed for the time shown, then show it. */
  async function load() {
    const { at, knowledge, mode } = state.get();
    if (mode === "live" || !at) return;
    const day = Math.floor(at.getTime() / DAY_MS) * DAY_MS;
    const known = knowledge === "known" ? await edition(at.getTime()) : undefined;
    const key = `${day} ${known === undefined ? "now" : (known?.number ?? "none")}`;
    wanted = key;
    if (held?.key !== key) {
      const datetime = `${stamp(day - windowMs())}/${stamp(day + DAY_MS)}`;
      const query = { datetime, ...(known && { edition: known.number }) };
      const parts = known === null ? {} : await kept(key, () => gathered(query));
      if (wanted !== key || state.get().mode === "live") return;
      held = { key, edition: known, parts };
    }
    show();
    tracks(at.getTime()).catch(() => {}); // whoever may not see tracks sees the rest
  }

  async function gathered(query) {
    const all = await Promise.all(COLLECTIONS.map((name) => api.features(name, query)));
    return Object.fromEntries(
      COLLECTIONS.map((name, i) => {
        const [begins, ends] = SPAN[name];
        const rows = all[i].map((one) => {
          const from = Date.parse(one.properties[begins] ?? one.properties[ends]);
          const until = Date.parse(one.properties[ends] ?? one.properties[begins]);
          return { one, from: from || -Infinity, until: until || Infinity };
        });
        return [name, rows];
      }),
    );
  }

  /** What had begun by then, and had not ended longer ago than the mission's window. */
  function show() {
    const { at, picture } = state.get();
    if (!at || !held) return;
    const [now, least] = [at.getTime(), at.getTime() - windowMs()];
    const anew = picture.replayed !== held.key;
    const next = { ...(anew ? noPicture() : picture), at, edition: held.edition?.number ?? picture.edition, revision: -1, replayed: held.key, changes: {} };
    let changed = anew;
    for (const name of COLLECTIONS) {
      const map = next[name];
      /** @type {{upserted: string[], removed: string[]}} */
      const change = { upserted: [], removed: [] };
      for (const { one, from, until } of held.parts[name] ?? []) {
        const visible = from <= now && until >= least;
        if (visible === map.has(one.id)) continue;
        if (visible) map.set(one.id, one);
        else map.delete(one.id);
        (visible ? change.upserted : change.removed).push(one.id);
      }
      changed ||= change.upserted.length + change.removed.length > 0;
      next.changes[name] = anew ? null : change;
    }
    if (changed) state.set({ picture: next });
  }

  let points = { key: "", rows: /** @type {any[]} */ ([]), about: new Map() };

  /** Tracks where they were: the last point of each, of the hour and a little before. */
  async function tracks(now) {
    if (state.get().session?.label !== "mission") return;
    const hour = Math.floor(now / HOUR_MS) * HOUR_MS;
    const key = `tracks ${hour} ${held?.edition?.number ?? "now"}`;
    if (points.key !== key) {
      points = { key, rows: [], about: new Map() };
      const edition = held?.edition ? { edition: held.edition.number } : {};
      const datetime = `${stamp(hour - STALE_MS)}/${stamp(hour + HOUR_MS)}`;
      const [found, named] = await kept(key, () =>
        Promise.all([api.features("track_points", { datetime, ...edition }, MOST_POINTS), api.features("tracks", { datetime, ...edition }, MOST_POINTS)]),
      );
      if (points.key !== key) return;
      points.about = new Map(named.map((one) => [one.id, one.properties]));
      points.rows = found
        .filter((one) => one.geometry)
        .map((one) => ({ at: Date.parse(one.properties.at), id: one.properties.track_id, p: one.properties, place: one.geometry.coordinates }))
        .sort((a, b) => a.at - b.at);
    }
    const at = state.get().at?.getTime() ?? now;
    const where = new Map();
    for (const row of points.rows) {
      if (row.at > at) break;
      if (row.at >= at - STALE_MS) where.set(row.id, row);
    }
    api.tracks.show(
      at / 1000,
      [...where.values()].map(({ id, p, place, at: seen }) => ({
        id,
        what: points.about.get(id)?.what ?? "",
        identity: points.about.get(id)?.identity ?? null,
        lon: place[0],
        lat: place[1],
        speed_mps: p.speed_mps,
        course_deg: p.course_deg,
        seen: seen / 1000,
      })),
    );
  }

  function tick(now) {
    frame = requestAnimationFrame(tick);
    const { at, mode } = state.get();
    if (mode !== "replay" || !at) return stop();
    const gone = now - last;
    if (gone < STEP_MS && stepped) return;
    last = now;
    stepped++;
    const next = at.getTime() + Math.min(gone, 1000) * speed;
    const end = edge().getTime();
    if (next >= end) state.set({ at: new Date(end), mode: "paused" });
    else state.set({ at: new Date(next) });
  }

  function stop() {
    cancelAnimationFrame(frame);
    frame = 0;
  }

  /** The last moment of which anything is known: where the live picture speaks to. */
  const edge = () => liveAt ?? new Date(state.get().mission.now);
  let liveAt = state.get().picture.at;

  state.on("picture", ({ mode, picture }) => {
    if (mode === "live" && picture.at) liveAt = picture.at;
  });
  const follow = async () => {
    try {
      await load();
    } catch (error) {
      state.set({ trouble: error.message });
    }
  };
  state.on(["at", "knowledge", "mode"], ({ mode, trouble }, changed) => {
    if (mode !== "live") return follow();
    if (!changed.has("mode")) return;
    stop();
    held = null;
    points.key = "";
    chunks.clear();
    state.set({ picture: { ...noPicture(), at: liveAt }, ...(trouble && { trouble: null }) });
    api.refresh().catch((error) => state.set({ trouble: error.message }));
  });
  if (state.get().mode !== "live") follow();

  const control = {
    edge,
    /** Whether nothing was settled yet at the time shown, though it is to be shown as it was known then. */
    get nothingKnown() {
      return state.get().mode !== "live" && held?.edition === null;
    },
    /** Stop at the time shown, or at `at`. */
    pause(at) {
      stop();
      state.set({ mode: "paused", at: at ?? state.get().at ?? edge() });
    },
    play() {
      const { at } = state.get();
      const from = at && at < edge() ? at : new Date(edge().getTime() - 6 * HOUR_MS);
      state.set({ mode: "replay", at: from });
      last = performance.now();
      stepped = 0;
      if (!frame) frame = requestAnimationFrame(tick);
    },
    live() {
      state.set({ mode: "live", at: null, knowledge: "settled" });
    },
    /** Play when it stands still, stand still when it plays or is live. */
    toggle() {
      if (state.get().mode === "paused") control.play();
      else control.pause();
    },
    step(ms) {
      const { at } = state.get();
      const next = new Date(Math.min((at ?? edge()).getTime() + ms, edge().getTime()));
      control.pause(next);
    },
    get speed() {
      return speed;
    },
    set speed(of) {
      speed = of;
    },
  };
  if (state.get().mode === "replay") control.play();
  return control;
}
