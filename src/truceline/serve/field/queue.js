// Entries on this device until the service has them: IndexedDB, one record each, sent one by one as they were written.

const WAITING = ["waiting", "sent"];
// Nothing of a shift stays on the device for longer than a day after it was accepted.
const KEPT_MS = 24 * 3600 * 1000;

let opened;

function store(mode) {
  opened ??= new Promise((done, failed) => {
    const asked = indexedDB.open("truceline-field", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("entries", { keyPath: "id" });
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
  return opened.then((db) => db.transaction("entries", mode, { durability: "strict" }).objectStore("entries"));
}

const answered = (asked) =>
  new Promise((done, failed) => {
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });

/** Put an entry, on disk when this is done. `line` never changes: the same bytes again are the same record. */
export async function put(entry) {
  const entries = await store("readwrite");
  const done = new Promise((whole, failed) => {
    entries.transaction.oncomplete = whole;
    entries.transaction.onabort = () => failed(entries.transaction.error);
  });
  entries.put(entry);
  await done;
}

/** All entries, the newest first. */
export async function all() {
  const entries = await answered((await store("readonly")).getAll());
  return entries.sort((a, b) => b.saved_ms - a.saved_ms);
}

/** Forget what was accepted: all of it, or what is older than a day. */
export async function forget(everything) {
  for (const entry of await all()) {
    if (entry.state === "accepted" && (everything || Date.now() - entry.saved_ms > KEPT_MS)) {
      await answered((await store("readwrite")).delete(entry.id));
    }
  }
}

export const waits = (entry) => WAITING.includes(entry.state);

let sending = null;

/** Send what waits, the oldest first. Gives "done", "offline", "signin", or the sentence why nothing more was sent. */
export function send(changed) {
  sending ??= once(changed).finally(() => (sending = null));
  return sending;
}

async function once(changed) {
  const waiting = (await all()).filter(waits).reverse();
  if (!waiting.length) return "done";
  let csrf = await session();
  if (csrf === "offline" || csrf === "signin") return csrf;
  for (const entry of waiting) {
    await put({ ...entry, state: "sent" });
    await changed();
    const answer = await post(entry.line, csrf);
    const after = judged(answer);
    await put({ ...entry, ...after.entry });
    await changed();
    if (after.stop) return after.stop;
  }
  return "done";
}

/** The CSRF token of this session, or why there is none. */
async function session() {
  try {
    const answer = await fetch("/api/session", { cache: "no-store" });
    const who = answer.ok ? await answer.json() : null;
    if (!who) return answer.status === 401 ? "signin" : "offline";
    return who.via === "anonymous" ? "signin" : (who.csrf ?? "");
  } catch {
    return "offline";
  }
}

async function post(line, csrf) {
  try {
    const headers = { "content-type": "application/x-ndjson", ...(csrf ? { "x-csrf-token": csrf } : {}) };
    const answer = await fetch("/api/sources/field/records", { method: "POST", headers, body: `${line}\n` });
    return { status: answer.status, body: await answer.json().catch(() => ({})) };
  } catch {
    return { status: 0, body: {} };
  }
}

/** What an answer makes of an entry. Only the record's own faults refuse it; for all others it waits. */
function judged({ status, body }) {
  if (status === 200 && body.rejected === 0 && body.accepted + body.duplicates === 1) {
    return { entry: { state: "accepted", reason: "" } };
  }
  if (status === 200) return { entry: { state: "refused", reason: (body.reasons ?? []).join("; ") } };
  const reason = typeof body.detail === "string" ? body.detail : "";
  if ([400, 413, 415, 422].includes(status)) return { entry: { state: "refused", reason: reason || String(status) } };
  const stop = status === 401 ? "signin" : status === 0 || status >= 500 || status === 429 ? "offline" : reason;
  return { entry: { state: "waiting", reason }, stop: stop || String(status) };
}
