// What the page asks of the service, and how what comes back gets into the state.

import { events } from "./stream.js";
import { Tracks } from "./tracks.js";

/** The service refused, or could not be reached (`status` 0). The message is a sentence for people. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   * @param {number} [retryAfterS]
   */
  constructor(message, status, retryAfterS) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

const COLLECTIONS = ["incidents", "events", "findings"];
// Changes that come thick and fast are asked for together, so that one picture is drawn, not ten.
const GATHER_MS = 250;
const TOPICS = ["alert", "picture", "source", "case"];

/**
 * @param {import("./state.js").State} state
 */
export function service(state) {
  /** @type {Map<string, Set<(content: any) => void>>} */
  const hearers = new Map(TOPICS.map((topic) => [topic, new Set()]));
  const tracks = new Tracks();
  let asking = null;
  let askAgain = false;
  let gather = 0;
  let stops = [];
  /** @type {(() => void) | null} */
  let stopTracks = null;

  /**
   * Ask for something. JSON comes back as what it says, anything else as the Response.
   * @param {string} path
   * @param {{method?: string, json?: any, body?: any, headers?: Record<string, string>, signal?: AbortSignal}} [how]
   * @returns {Promise<any>}
   * @throws {ApiError}
   */
  async function request(path, { method = "GET", json, body, headers = {}, signal } = {}) {
    const asked = { accept: "application/json", ...headers };
    if (json !== undefined) asked["content-type"] = "application/json";
    const csrf = state.get().session?.csrf;
    if (method !== "GET" && csrf) asked["x-csrf-token"] = csrf;
    let answer;
    try {
      answer = await fetch(path, {
        method,
        headers: asked,
        body: json === undefined ? body : JSON.stringify(json),
        credentials: "same-origin",
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError("the service does not answer", 0);
    }
    const said = answer.headers.get("content-type")?.includes("json") ? await answer.json().catch(() => null) : null;
    if (!answer.ok) {
      const detail = typeof said?.detail === "string" ? said.detail : `the service said ${answer.status}`;
      if (answer.status === 401 && state.get().session?.csrf) state.set({ session: { ...state.get().session, csrf: null } });
      throw new ApiError(detail, answer.status, Number(answer.headers.get("retry-after")) || undefined);
    }
    return said ?? answer;
  }

  const get = (path, query = {}, signal = undefined) => {
    const parts = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const text = new URLSearchParams(parts.map(([key, value]) => [key, String(value)])).toString();
    return request(text ? `${path}?${text}` : path, { signal });
  };

  /** All features of a collection, page after page. */
  async function features(collection, query = {}, most = 50_000, signal = undefined) {
    const all = [];
    let path = `/ogc/collections/${collection}/items`;
    /** @type {Record<string, any>} */
    let asked = { limit: 10_000, ...query };
    while (path && all.length < most) {
      const page = await get(path, asked, signal);
      for (const feature of page.features) all.push(feature);
      const next = page.links?.find((link) => link.rel === "next")?.href;
      path = next ? next.replace(/^https?:\/\/[^/]+/, "") : "";
      asked = {};
    }
    return all;
  }

  /** Bring the picture up to date: what changed since ours, or the whole. One question at a time. */
  async function refresh() {
    if (asking) {
      askAgain = true;
      return asking;
    }
    asking = (async () => {
      do {
        askAgain = false;
        const { picture } = state.get();
        const news = await get("/api/picture", { collections: COLLECTIONS.join(","), since: picture.revision });
        if (state.get().mode === "live") state.set({ picture: applied(picture, news), trouble: null });
      } while (askAgain);
    })();
    try {
      await asking;
    } finally {
      asking = null;
    }
  }

  const soon = () => {
    gather ||= window.setTimeout(() => {
      gather = 0;
      if (state.get().mode === "live") refresh().catch(trouble);
    }, GATHER_MS);
  };

  const trouble = (error) => {
    if (error instanceof ApiError) state.set({ trouble: error.message });
    else throw error;
  };

  const sources = async () => {
    const rows = (await get("/api/sources")) ?? [];
    state.set({ sources: rows.filter((one) => one.state !== "out"), outlets: rows.filter((one) => one.state === "out") });
  };
  const alerts = async () => {
    const said = await get("/api/alerts", { limit: 200 });
    state.set({ alerts: Array.isArray(said) ? said : (said.alerts ?? []) });
  };

  /** What only some may see: whoever may not has none of it. */
  const ifAllowed = (promise) =>
    promise.catch((error) => {
      if (!(error instanceof ApiError && [401, 403, 404].includes(error.status))) throw error;
    });

  /** Everything anew: after the first look, a sign-in, a long absence. */
  async function reload() {
    const session = await get("/api/session");
    state.set({ session });
    await Promise.all([ifAllowed(refresh()), ifAllowed(sources()), ifAllowed(alerts())]);
  }

  /** Listen, until `stop`. Says in `state.connection` how that goes. */
  function listen() {
    stop();
    if (state.get().session?.via === "anonymous" && !state.get().mission?.centre) return; // nothing to hear yet
    const connected = (connection) => state.set({ connection });
    const hear = ({ topic, content }) => {
      if (topic === "reset") {
        state.set({ picture: { ...state.get().picture, revision: null } });
        reload().catch(trouble);
        return;
      }
      if (topic === "picture") soon();
      if (topic === "source") ifAllowed(sources()).catch(trouble);
      if (topic === "alert") ifAllowed(alerts()).catch(trouble);
      for (const fn of hearers.get(topic) ?? []) fn(content);
    };
    const onOpen = () => {
      connected("live");
      soon(); // what happened since the first look, or while nobody listened
      ifAllowed(sources()).catch(trouble);
      ifAllowed(alerts()).catch(trouble);
    };
    stops.push(events("/api/stream/events", { hear, onOpen, onState: connected }));
    moving();
  }

  function stop() {
    for (const one of stops) one();
    stops = [];
    moving();
  }

  /** Tracks are heard while the picture is live, by the mission alone. */
  function moving() {
    const { mode, session } = state.get();
    const wanted = stops.length > 0 && mode === "live" && session?.label === "mission";
    if (wanted) stopTracks ??= tracks.listen("/api/stream/tracks");
    else {
      stopTracks?.();
      stopTracks = null;
    }
  }
  state.on(["mode", "session"], moving);

  return {
    request,
    get,
    post: (path, json) => request(path, { method: "POST", json: json ?? {} }),
    put: (path, body, headers) => request(path, { method: "PUT", body, headers }),
    del: (path) => request(path, { method: "DELETE" }),
    features,
    refresh,
    reload,
    sources,
    alerts,
    listen,
    stop,
    tracks,

    /** Call `fn(content)` for each message of a topic (alert, picture, source, case); gives what stops that. */
    on(topic, fn) {
      hearers.get(topic)?.add(fn);
      return () => void hearers.get(topic)?.delete(fn);
    },

    async signIn(name, password) {
      const session = await request("/api/session", { method: "POST", json: { name, password } });
      state.set({ session, picture: { ...state.get().picture, revision: null } });
      await reload();
      listen();
    },

    async signOut() {
      await request("/api/session", { method: "DELETE" });
      state.set({ selected: null, alerts: [], sources: [], outlets: [], picture: { ...state.get().picture, revision: null } });
      tracks.clear();
      await reload();
      listen();
    },
  };
}

/** @typedef {ReturnType<typeof service>} Api */

/**
 * The picture after an answer of /api/picture. Maps are kept and changed; the object is new.
 * @param {import("./state.js").Picture} picture
 * @param {any} news
 * @returns {import("./state.js").Picture}
 */
export function applied(picture, news) {
  const next = { ...picture, revision: news.revision, at: new Date(news.at), edition: news.edition, changes: {} };
  for (const name of COLLECTIONS) {
    const change = news.collections?.[name];
    if (!change) {
      next.changes[name] = news.reset ? null : { upserted: [], removed: [] };
      if (news.reset) next[name] = new Map();
      continue;
    }
    const map = news.reset ? new Map() : picture[name];
    for (const id of change.removed ?? []) map.delete(id);
    for (const feature of change.upserted ?? []) map.set(feature.id, feature);
    next[name] = map;
    next.changes[name] = news.reset
      ? null
      : { upserted: (change.upserted ?? []).map((feature) => feature.id), removed: change.removed ?? [] };
  }
  return next;
}
