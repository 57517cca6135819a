// Begins: state, service, shell, map, time, and the views in their panel.

import { service } from "./api.js";
import { fill, el } from "./dom.js";
import { picture as map } from "./map/map.js";
import { PARTS, VIEWS } from "./registry.js";
import { shell } from "./shell.js";
import { keepAddress, store } from "./state.js";
import { onLanguage, t, tellIn } from "./text.js";
import { timeline } from "./time/timeline.js";

const state = store();
const api = service(state);
const place = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

keepAddress(state);
shell(state, api);
panel();
for (const { region, mount } of PARTS) mount(place(region), state, api);
begin();

/** Say whose mission it is, then show its picture to whoever may see it: at once, or once they have signed in. */
async function begin() {
  try {
    const mission = await api.get("/api/mission");
    tellIn(mission.zone);
    state.set({ mission, session: await api.get("/api/session") });
    if (mission.centre) return await start();
    fill(place("map"), el("p", { class: "state" }, t("state.signin.do")));
    const off = state.on("session", async ({ session }) => {
      if (session.via === "anonymous") return;
      off();
      fill(place("map"));
      state.set({ mission: await api.get("/api/mission") });
      await start();
    });
  } catch (error) {
    failed(error);
  }
}

async function start() {
  const shown = map(place("map"), state, api, api.get("/page/basemap.json"));
  timeline(place("time"), state, api, shown);
  try {
    await api.reload();
    performance.mark("list shown");
    api.listen();
  } catch (error) {
    failed(error);
  }
}

function failed(error) {
  if (error.status === undefined) throw error; // ours, not the service's
  state.set({ connection: error.status === 0 ? "offline" : "error", trouble: error.message });
  addEventListener("online", () => location.reload(), { once: true });
}

/** The tabs, and the view that is on: the one that shows what is selected, else the one that was chosen. */
function panel() {
  const [tabs, host] = [place("views"), place("panel")];
  let shown = null;
  let drawn = "";
  let unmount = () => {};
  const chosen = ({ view, selected }) =>
    (selected && VIEWS.find((one) => one.selects?.includes(selected.kind))) ||
    VIEWS.find((one) => one.name === view) ||
    VIEWS[0];

  function show(values, changed = new Set()) {
    if (changed.has("session")) shown = null; // another reader: every view anew
    const view = chosen(values);
    if (view !== shown) {
      unmount();
      shown = view;
      const element = el("div", { class: "view", data: { view: view.name } });
      fill(host, element);
      host.scrollTop = 0;
      unmount = view.mount(element, state, api) ?? (() => {});
    }
    const on = values.selected && shown?.selects ? null : shown?.name;
    const offered = VIEWS.filter((one) => one.title && (one.offered?.(values) ?? true));
    const counts = offered.map((one) => one.badge?.(values) ?? 0);
    const now = `${on} ${offered.map((one, i) => `${one.name} ${counts[i]}`)}`;
    if (now === drawn) return;
    drawn = now;
    fill(
      tabs,
      offered.map((one, i) => {
        const count = counts[i];
        return el(
          "button",
          {
            type: "button",
            "aria-current": one.name === on ? "page" : null,
            on: { click: () => state.set({ view: one.name, selected: null, filters: {} }) },
          },
          t(one.title ?? ""),
          count > 0 && el("b", { class: "badge" }, String(count)),
        );
      }),
    );
  }
  tabs.setAttribute("aria-label", t("shell.views"));
  state.on(["view", "selected", "alerts", "picture", "session", "sources"], show);
  onLanguage(() => {
    shown = null; // every view in the new words
    drawn = "";
    show(state.get());
  });
  show(state.get());
}
