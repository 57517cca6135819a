// Elements out of data. Text only ever becomes text: nothing here, and nothing that uses it, parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element.
 * @param {string} name  "button", or "svg:rect" for a drawing
 * @param {Record<string, any>} [attributes]  `class`, `on: {event: listener}`, `data: {name: value}`, `style: {name:
 *   value}` (custom properties too); true writes an empty attribute; false, null and undefined write none; `value`,
 *   `checked`, `disabled`, `open` and `selected` are set as properties
 * @param {...any} children  elements, text, numbers, lists of them; null, undefined and false are left out
 * @returns {any}
 */
export function el(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) set(made, key, value);
  made.append(...flat(children));
  return made;
}

const PROPERTIES = new Set(["value", "checked", "disabled", "open", "selected", "indeterminate"]);

function set(made, key, value) {
  if (value === false || value === null || value === undefined) return;
  if (key === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
  else if (key === "data") Object.assign(made.dataset, value);
  else if (key === "style") for (const [name, one] of Object.entries(value)) made.style.setProperty(name, String(one));
  else if (PROPERTIES.has(key)) made[key] = value;
  else if (/^on/i.test(key)) throw new Error(`${key}: listeners go under "on"`);
  else made.setAttribute(key, value === true ? "" : String(value));
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/** Put `children` in the place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/**
 * An address that a third party's text gave, when it is one a browser may open; else null.
 * @param {string | null | undefined} address
 */
export function safe(address) {
  try {
    const url = new URL(address ?? "", location.href);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}
