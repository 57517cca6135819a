// The form for sightings: fills a record, puts it in the queue on this device, sends when there is a network.

import { all, forget, put, send, waits } from "./queue.js";
import { missing, number, row, withOffset } from "./row.js";
import { LANGUAGES, lang, other, speak, t } from "./text.js";

// What a button stands for in the observation table.
const WHAT = {
  explosion: { what: "explosion" },
  impact: { what: "explosion.impact", description: "impact" },
  outgoing: { what: "explosion.outgoing", description: "outgoing" },
  burst: { what: "burst" },
  shot: { what: "shot" },
  uav: { what: "uav" },
  aircraft: { what: "aircraft" },
  weapon_seen: { what: "weapon" },
  build_up: { what: "ground.build_up" },
  fire: { what: "fire" },
  mines: { what: "ground.mine" },
  access: { what: "access", description: "denied" },
  other: { what: "report" },
};
// Weapon classes whose presence has a term of its own.
const SEEN = ["artillery", "mlrs", "mortar", "tank", "armour", "missile"];
const WEAPONS = ["small_arms", "machine_gun", "grenade_launcher", ...SEEN, "anti_tank", "anti_aircraft"];
const POST = "truceline.post";

const $ = (id) => document.getElementById(id);
const form = $("sighting");
let touched = false; // has the time been set: by the first thing filled in, by hand, or by "now"
let locating = false;

function choices(id, names) {
  $(id).replaceChildren(
    ...names.map((name) => {
      const [label, input, words] = ["label", "input", "span"].map((tag) => document.createElement(tag));
      Object.assign(input, { type: "radio", name: id, value: name });
      words.dataset.t = name;
      label.append(input, words);
      return label;
    }),
  );
}

const chosen = (name) => form.querySelector(`input[name=${name}]:checked`)?.value ?? "";

// Local time of the device as the browser's own control has it.
function local(at) {
  const two = (value) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function setTime(at) {
  $("at").value = local(at);
  touched = true;
  sayOffset();
}

function sayOffset() {
  const at = new Date($("at").value || Date.now());
  if (Number.isNaN(at.getTime())) return;
  const offset = withOffset(at).slice(19);
  $("offset").textContent = t("offset", { offset, utc: at.toISOString().slice(0, 19).replace("T", " ") });
}

function filled() {
  const [what, weapon] = [chosen("what"), $("weapon").value];
  const means = WHAT[what] && { ...WHAT[what] };
  if (means?.what === "weapon" && SEEN.includes(weapon)) means.what = `weapon.${weapon}`;
  return {
    what: means,
    means: chosen("means"),
    at: new Date($("at").value),
    here: chosen("from") === "here",
    lat: number($("lat").value),
    lon: number($("lon").value),
    error_m: number($("error").value),
    bearing_deg: number($("bearing").value),
    range_m: number($("distance").value),
    count: number($("count").value),
    weapon: weapon.replace("_", " "),
    text: $("text").value.trim(),
    post: $("post").value.trim(),
  };
}

async function save(event) {
  event.preventDefault();
  const values = filled();
  const lacks = missing(values);
  $("wrong").textContent = lacks ? t(`wrong_${lacks}`) : "";
  if (lacks) {
    ($(lacks).querySelector?.("input") ?? $(lacks)).focus();
    return;
  }
  // its own name keeps apart two that say the same; sent again it is the same one
  const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");
  const entry = { id, saved_ms: Date.now(), state: "waiting", reason: "", name: chosen("what") };
  try {
    await put({ ...entry, line: JSON.stringify(row(values, id)) });
  } catch (error) {
    $("wrong").textContent = t("not_saved", { why: error?.message ?? "" });
    return;
  }
  localStorage.setItem(POST, values.post);
  clear();
  $("said").textContent = t("saved");
  await list();
  sync();
}

// Place and post stay: the next thing is mostly heard from the same spot.
function clear() {
  for (const input of form.querySelectorAll("#what input, #means input")) input.checked = false;
  for (const id of ["bearing", "distance", "count", "weapon", "text"]) $(id).value = "";
  touched = false;
  $("at").value = local(new Date());
  sayOffset();
}

function locate() {
  if (locating || !navigator.geolocation) {
    if (!locating) $("located").textContent = t("not_located");
    return;
  }
  locating = true;
  $("located").textContent = t("locating");
  navigator.geolocation.getCurrentPosition(
    ({ coords }) => {
      locating = false;
      $("lat").value = coords.latitude.toFixed(5);
      $("lon").value = coords.longitude.toFixed(5);
      const error = Math.max(Math.round(coords.accuracy), 1);
      $("error").value = error;
      $("located").textContent = t("located", { error });
    },
    () => {
      locating = false;
      $("located").textContent = t("not_located");
    },
    { enableHighAccuracy: true, maximumAge: 30_000, timeout: 30_000 },
  );
}

async function list() {
  const entries = await all();
  $("entries").replaceChildren(
    ...entries.map((entry) => {
      const [item, state, about] = ["li", "span", "span"].map((tag) => document.createElement(tag));
      item.className = entry.state;
      item.dataset.state = entry.state;
      state.className = "state";
      state.textContent = t(entry.state) + (entry.reason ? `: ${entry.reason}` : "");
      about.textContent = `${t(entry.name)}, ${new Date(JSON.parse(entry.line).at).toLocaleString(lang())}`;
      item.append(state, about);
      return item;
    }),
  );
  $("send").hidden = !entries.some(waits);
  $("clear").hidden = !entries.some((entry) => entry.state === "accepted");
}

async function sync() {
  const how = await send(list);
  $("signin").hidden = how !== "signin";
  const offline = !navigator.onLine || how === "offline";
  $("connection").textContent = t(offline ? "offline" : "online");
  if (!["done", "offline", "signin"].includes(how)) $("said").textContent = how;
  if (how === "offline") later();
}

// A browser may know when the network is back; where it does not, every half minute is asked.
let again = 0;
function later() {
  clearTimeout(again);
  again = setTimeout(sync, 30_000);
  navigator.serviceWorker?.ready.then((worker) => worker.sync?.register("send")).catch(() => undefined);
}

async function signIn(event) {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(event.target));
  const headers = { "content-type": "application/json" };
  const answer = await fetch("/api/session", { method: "POST", headers, body: JSON.stringify(given) }).catch(() => null);
  event.target.querySelector("[name=password]").value = "";
  if (answer?.ok) {
    $("signin_wrong").textContent = "";
    await sync();
    return;
  }
  const said = answer && (await answer.json().catch(() => ({}))).detail;
  $("signin_wrong").textContent = !answer ? t("offline") : answer.status === 401 ? t("signin_wrong") : String(said ?? "");
}

function words() {
  document.documentElement.lang = lang();
  document.title = `Truceline: ${t("title")}`;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  const next = other();
  Object.assign($("language"), { textContent: LANGUAGES[next], lang: next });
  sayOffset();
}

choices("what", Object.keys(WHAT));
choices("means", ["heard", "saw"]);
choices("from", ["here", "there"]);
$("weapon").replaceChildren(
  ...["", ...WEAPONS].map((name) => {
    const option = document.createElement("option");
    option.value = name;
    option.dataset.t = name || "unknown";
    return option;
  }),
);
form.querySelector("input[name=from]").checked = true;
$("post").value = localStorage.getItem(POST) ?? "";
clear();
words();

form.addEventListener("submit", save);
form.addEventListener("input", (event) => {
  if (event.target.id === "at") touched = true;
  else if (!touched) setTime(new Date()); // the moment somebody began to fill it in
  sayOffset();
});
form.addEventListener("change", () => ($("direction").hidden = chosen("from") !== "here"));
$("now").addEventListener("click", () => setTime(new Date()));
$("locate").addEventListener("click", locate);
$("signin").addEventListener("submit", signIn);
$("send").addEventListener("click", sync);
$("clear").addEventListener("click", () => forget(true).then(list));
$("language").addEventListener("click", () => {
  speak(other());
  words();
  list();
});
addEventListener("online", sync);
addEventListener("offline", () => ($("connection").textContent = t("offline")));
navigator.serviceWorker?.addEventListener("message", sync);
navigator.serviceWorker?.register("/field/worker.js", { scope: "/field" }).catch(() => undefined);

await forget(false);
await list();
await sync();
