// What the page is made of beside map and time: views in the panel, and parts that are always there.

/**
 * A view fills the panel.
 * @typedef {object} View
 * @property {string} name       in the address: #name
 * @property {(element: HTMLElement, state: import("./state.js").State, api: import("./api.js").Api) => (() => void)} mount
 *   draws into `element`, keeps it up to date, gives what takes it away again
 * @property {string} [title]    text key of its tab; without one it has none
 * @property {(values: import("./state.js").Values) => boolean} [offered]  whether this reader has its tab
 * @property {string[]} [selects]  kinds of `state.selected` that it shows, whatever view is chosen
 * @property {(values: import("./state.js").Values) => number} [badge]  a count on its tab, when it is not 0
 *
 * A part lives in a region of index.html by its id: account, tools, strip, notice, overlay.
 * @typedef {object} Part
 * @property {string} region
 * @property {View["mount"]} mount
 */

import * as thing from "./map/thing.js";
import * as account from "./views/account.js";
import * as alerts from "./views/alerts.js";
import * as finding from "./views/finding.js";
import * as queue from "./views/queue.js";
import * as reports from "./views/reports.js";
import * as sites from "./views/sites.js";
import * as sources from "./views/sources.js";
import * as strip from "./views/strip.js";
import * as tools from "./views/tools.js";

/** In the order of their tabs. @type {View[]} */
export const VIEWS = [queue, alerts, sites, sources, reports, finding, thing];

/** @type {Part[]} */
export const PARTS = [
  { region: "account", mount: account.mount },
  { region: "tools", mount: tools.mount },
  { region: "strip", mount: strip.mount },
];
