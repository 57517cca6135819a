// The page's state, in one place. What is shown is kept in the address, so that a picture can be sent to a colleague.
//
//   #findings/incident/8f3a…?clause=ceasefire&mode=paused&at=2031-03-15T10:00:00Z&knowledge=known&map=8.2/48.3/37.5

/**
 * What is pointed at: a thing of the picture by its id (a source, site or zone by its name).
 * @typedef {{kind: "finding"|"incident"|"event"|"track"|"site"|"zone"|"line"|"source"|"case"|"alert", id: string}} Selected
 *
 * A GeoJSON feature as the service gives it.
 * @typedef {{type: "Feature", id: string, geometry: any, properties: Record<string, any>}} Feature
 *
 * Which ids of a collection are other than before; null: all may be.
 * @typedef {{upserted: string[], removed: string[]} | null} Change
 *
 * The picture: replaced as a whole at each change, its maps kept. `changes` is what the last change did.
 * `revision` is null until there is one, -1 while another time is shown.
 * @typedef {{revision: number | null, at: Date | null, edition: any, replayed?: string, incidents: Map<string, Feature>,
 *   events: Map<string, Feature>, findings: Map<string, Feature>, changes: Record<string, Change>}} Picture
 *
 * @typedef {object} Values
 * @property {any} session    {name, role, label, party, csrf, via}; null until it is known
 * @property {any} mission    {name, exercise, centre: [lon, lat], radius_km, zone, ...}; null until it is known
 * @property {string} view    which view the panel shows when nothing is selected
 * @property {Selected | null} selected
 * @property {Record<string, string>} filters  of the list in view
 * @property {"live" | "paused" | "replay"} mode
 * @property {Date | null} at  the time shown; null when live
 * @property {"known" | "settled"} knowledge  as it was known at that time, or as it is settled now
 * @property {Picture} picture
 * @property {any[]} sources
 * @property {any[]} outlets  ports of TAK clients
 * @property {any[]} alerts
 * @property {"live" | "connecting" | "offline" | "error"} connection
 * @property {string | null} trouble  what went wrong, in the service's words
 * @property {number[] | null} map    zoom, lat, lon
 * @property {"auto" | "dark" | "light"} theme
 */

/** @returns {Picture} */
export const noPicture = () => ({
  revision: null,
  at: null,
  edition: null,
  incidents: new Map(),
  events: new Map(),
  findings: new Map(),
  changes: {},
});

/** @type {Values} */
const INITIAL = {
  session: null,
  mission: null,
  view: "queue",
  selected: null,
  filters: {},
  mode: "live",
  at: null,
  knowledge: "settled",
  picture: noPicture(),
  sources: [],
  outlets: [],
  alerts: [],
  connection: "connecting",
  trouble: null,
  map: null,
  theme: "auto",
};

// Of these a new value is a step one can go back from; the rest of the address is replaced as one goes.
const STEPS = ["view", "selected"];
const ADDRESSED = [...STEPS, "filters", "mode", "at", "knowledge", "map"];
const RESERVED = ["mode", "at", "knowledge", "map"];

/**
 * The store. `get()` gives the values (change nothing in them), `set` changes some and tells who listens to one of
 * them, once, after all are set; `on` gives what stops the listening.
 * @param {Partial<Values>} [initial]
 */
export function store(initial = {}) {
  /** @type {Values} */
  let values = { ...INITIAL, picture: noPicture(), ...initial };
  /** @type {Set<{keys: string[], fn: (values: Values, changed: Set<string>) => void}>} */
  const listeners = new Set();

  return {
    get: () => values,

    /** @param {Partial<Values>} patch */
    set(patch) {
      const changed = new Set(Object.keys(patch).filter((key) => !same(values[key], patch[key])));
      if (!changed.size) return;
      values = { ...values, ...patch };
      for (const listener of [...listeners])
        if (listeners.has(listener) && listener.keys.some((key) => changed.has(key))) listener.fn(values, changed);
    },

    /**
     * @param {string | string[]} keys
     * @param {(values: Values, changed: Set<string>) => void} fn
     * @returns {() => void}
     */
    on(keys, fn) {
      const listener = { keys: [keys].flat(), fn };
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** @typedef {ReturnType<typeof store>} State */

/**
 * Keep the address and the state in step, both ways; what is in the address now is taken first.
 * @param {State} state
 */
export function keepAddress(state) {
  let reading = false;
  const read = () => {
    reading = true;
    state.set(fromAddress(location.hash));
    reading = false;
  };
  read();
  addEventListener("hashchange", read);
  addEventListener("popstate", read);
  state.on(ADDRESSED, (values, changed) => {
    const address = toAddress(values);
    if (reading || address === location.hash) return;
    if (STEPS.some((key) => changed.has(key))) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  });
}

/**
 * @param {Values} values
 * @returns {string}
 */
export function toAddress(values) {
  const path = [values.view, ...(values.selected ? [values.selected.kind, values.selected.id] : [])];
  const query = new URLSearchParams(values.filters);
  if (values.mode !== "live") query.set("mode", values.mode);
  if (values.mode !== "live" && values.at) query.set("at", values.at.toISOString().replace(".000Z", "Z"));
  if (values.knowledge !== "settled") query.set("knowledge", values.knowledge);
  if (values.map) query.set("map", values.map.join("/"));
  const text = query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":");
  return `#${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/**
 * What an address says; what it does not say, or says wrongly, is as at the beginning.
 * @param {string} hash
 * @returns {Partial<Values>}
 */
export function fromAddress(hash) {
  const [path, text = ""] = hash.replace(/^#/, "").split("?");
  const [view, kind, id] = path.split("/").map(decoded);
  const query = new URLSearchParams(text);
  const at = new Date(query.get("at") ?? NaN);
  const timed = !Number.isNaN(at.getTime());
  const mode = query.get("mode");
  const map = (query.get("map") ?? "").split("/").map(Number);
  return {
    view: view || INITIAL.view,
    selected: kind && id ? { kind: /** @type {Selected["kind"]} */ (kind), id } : null,
    filters: Object.fromEntries([...query].filter(([key]) => !RESERVED.includes(key))),
    mode: timed && (mode === "paused" || mode === "replay") ? mode : "live",
    at: timed && (mode === "paused" || mode === "replay") ? at : null,
    knowledge: query.get("knowledge") === "known" ? "known" : "settled",
    map: map.length === 3 && map.every(Number.isFinite) ? map : null,
  };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

function same(a, b) {
  if (a === b) return true;
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  // small plain values of the address: filters, selected, map
  const plain = (x) => x && (Object.getPrototypeOf(x) === Object.prototype || (Array.isArray(x) && x.length < 4));
  return Boolean(plain(a) && plain(b) && Object.keys(a).length < 20 && shallow(a, b));
}

function shallow(a, b) {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
