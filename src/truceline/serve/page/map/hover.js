// What is under the pointer explains itself.

import { fill } from "../dom.js";

// From the pointer, so that it does not hide what it speaks of.
const AWAY = 14;

/** A small card that follows the pointer inside `host`. */
export function tip(host) {
  const element = document.createElement("div");
  element.className = "tip";
  element.setAttribute("role", "tooltip");
  element.hidden = true;
  host.append(element);
  return {
    /** @param {{x: number, y: number}} point  @param {any[]} content */
    show({ x, y }, content) {
      fill(element, content);
      element.hidden = false;
      const [width, height] = [element.offsetWidth, element.offsetHeight];
      const left = x + AWAY + width > host.clientWidth ? x - AWAY - width : x + AWAY;
      const top = Math.min(y + AWAY, host.clientHeight - height - 4);
      element.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
    },
    hide() {
      element.hidden = true;
    },
  };
}
