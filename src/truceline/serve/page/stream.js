// Server-sent events and sockets that come back by themselves, ever more slowly, and go on where they were.

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/**
 * How long to wait before the n-th try: twice as long each time, up to a bound, and never all clients at once.
 * @param {number} tries
 * @param {() => number} [random]
 */
export const pause = (tries, random = Math.random) =>
  Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(tries, 10)) * (0.5 + random() / 2);

/**
 * Run `attempt` over and over: when it ends it is begun again after a pause. An attempt calls `going` once it works.
 * @param {(signal: AbortSignal, going: () => void) => Promise<void>} attempt  a rejected promise is a try that failed
 * @param {(state: "connecting" | "offline" | "error", error: any) => void} onState
 * @returns {() => void} stops it
 */
export function persist(attempt, onState) {
  const stopped = new AbortController();
  let wake = () => {};
  const online = () => wake();
  addEventListener("online", online);
  (async () => {
    for (let tries = 0; !stopped.signal.aborted; tries++) {
      /** @type {any} */
      let failure = null;
      try {
        await attempt(stopped.signal, () => (tries = 0));
      } catch (error) {
        failure = error;
      }
      if (stopped.signal.aborted) break;
      const refused = failure?.status >= 400 && failure.status < 500 && failure.status !== 429;
      onState(refused ? "error" : tries > 1 || !navigator.onLine ? "offline" : "connecting", failure);
      const ms = Math.max(pause(tries), (failure?.retryAfterS ?? 0) * 1000, refused ? LONGEST_MS : 0);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        wake = () => (clearTimeout(timer), resolve(null));
        stopped.signal.addEventListener("abort", wake, { once: true });
      });
    }
    removeEventListener("online", online);
  })();
  return () => stopped.abort();
}

/**
 * Hear messages of a stream of server-sent events. By fetch, as EventSource tells no status, and waits as it likes.
 * @param {string} path
 * @param {{hear: (message: {id: string, topic: string, content: any}) => void, onOpen: () => void,
 *   onState: (state: "connecting" | "offline" | "error") => void}} listener
 * @returns {() => void} stops it
 */
export function events(path, { hear, onOpen, onState }) {
  let last = "";
  return persist(async (signal, going) => {
    const headers = { accept: "text/event-stream", ...(last && { "last-event-id": last }) };
    const answer = await fetch(path, { headers, signal, cache: "no-store", credentials: "same-origin" });
    if (!answer.ok || !answer.body) {
      const retryAfterS = Number(answer.headers.get("retry-after")) || 0;
      throw Object.assign(new Error(`the stream said ${answer.status}`), { status: answer.status, retryAfterS });
    }
    going();
    onOpen();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop() ?? "";
      for (const message of blocks.map(parsed)) {
        if (!message) continue;
        if (message.topic === "reset") last = "";
        if (message.id) last = message.id;
        hear(message);
      }
    }
  }, onState);
}

/**
 * One block of a stream; null for a comment (what keeps the line open) or what is not JSON.
 * @param {string} block
 */
export function parsed(block) {
  let [id, topic, data] = ["", "message", ""];
  for (const line of block.split("\n")) {
    const [, field, text] = /^(\w*): ?(.*)$/.exec(line) ?? [];
    if (field === "id") id = text;
    else if (field === "event") topic = text;
    else if (field === "data") data += (data && "\n") + text;
  }
  if (!data && topic === "message") return null;
  try {
    return { id, topic, content: data ? JSON.parse(data) : null };
  } catch {
    return null;
  }
}

/**
 * Hear a WebSocket's frames; text as JSON, binary as an ArrayBuffer.
 * @param {string} path
 * @param {{text: (said: any) => void, binary: (frame: ArrayBuffer) => void, begin: () => void}} listener
 * @param {(state: "live" | "connecting" | "offline" | "error") => void} [onState]
 * @returns {() => void} stops it
 */
export function socket(path, { text, binary, begin }, onState = () => {}) {
  const address = new URL(path, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return persist(
    (signal, going) =>
      new Promise((resolve) => {
        const ws = new WebSocket(address);
        ws.binaryType = "arraybuffer";
        const close = () => ws.close();
        signal.addEventListener("abort", close, { once: true });
        ws.onopen = () => {
          begin();
          onState("live");
        };
        ws.onmessage = ({ data }) => {
          going();
          if (typeof data === "string") text(JSON.parse(data));
          else binary(data);
        };
        ws.onclose = () => {
          signal.removeEventListener("abort", close);
          resolve();
        };
      }),
    onState,
  );
}
