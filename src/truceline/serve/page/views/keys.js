// Keyboard shortcuts: single keys, never while somebody writes, and off where somebody does not want them.

const KEPT = "truceline.shortcuts";
let off = false;
try {
  off = localStorage.getItem(KEPT) === "off";
} catch {
  // storage may be forbidden: they are on
}

/** Whether single keys do something. */
export const shortcuts = () => !off;

/** Turn single keys on or off, and remember it: speech input and shaking hands press keys nobody meant. */
export function useShortcuts(on) {
  off = !on;
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // for this visit only
  }
}

const WRITING = "input:not([type=checkbox]), textarea, select, [contenteditable]";

/**
 * Listen to single keys while a view is shown.
 * @param {Record<string, (event: KeyboardEvent) => void>} doing  by `event.key`
 * @returns {() => void}  stops it
 */
export function keys(doing) {
  const listener = (event) => {
    if (off || event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest(WRITING) || document.querySelector("dialog[open]")) return;
    // arrows belong to whatever has them already: the map, the time line, tabs
    if (event.key.startsWith("Arrow") && !target.closest("[data-arrows]")) return;
    const act = doing[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  };
  document.addEventListener("keydown", listener);
  return () => document.removeEventListener("keydown", listener);
}
