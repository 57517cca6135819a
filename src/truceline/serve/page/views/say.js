// What is told to a screen reader without moving anybody's focus.

import { el } from "../dom.js";

const regions = {};

function region(kind) {
  regions[kind] ??= document.body.appendChild(
    el("div", { class: "unseen", "aria-live": kind, "aria-atomic": "true", data: { say: kind } }),
  );
  return regions[kind];
}

/** Make the regions; a reader only hears what changes in one that was there before. */
export function ready() {
  region("polite");
  region("assertive");
}

/**
 * Say a sentence when there is a pause, or at once.
 * @param {string} sentence
 * @param {boolean} [atOnce]  only for what is grave
 */
export function say(sentence, atOnce = false) {
  const into = region(atOnce ? "assertive" : "polite");
  // the same sentence twice is a change only when something else stood there in between
  into.textContent = into.textContent === sentence ? `${sentence}\u00a0` : sentence;
}
