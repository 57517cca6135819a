// Keeps the form on the device, so that it opens without a network. Nothing of the mission is kept here.

const KEPT = "truceline-field";
const FORM = ["/field", ...["field.css", "field.js", "queue.js", "row.js", "text.js"].map((name) => `/field/${name}`)];

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(KEPT)
      .then((kept) => kept.addAll(FORM.map((address) => new Request(address, { cache: "no-cache" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

// What is kept answers at once, and a newer one is fetched for the next time.
self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== self.location.origin || !FORM.includes(pathname)) return;
  event.respondWith(
    caches.open(KEPT).then(async (kept) => {
      const known = await kept.match(pathname);
      const newer = fetch(pathname, { cache: "no-cache" }).then(async (answer) => {
        if (answer.ok) await kept.put(pathname, answer.clone());
        return answer;
      });
      if (!known) return newer;
      event.waitUntil(newer.catch(() => undefined));
      return known;
    }),
  );
});

// The browser says so when the network is back, even where the form is in the background.
self.addEventListener("sync", (event) => {
  event.waitUntil(self.clients.matchAll().then((open) => open.forEach((one) => one.postMessage("send"))));
});
