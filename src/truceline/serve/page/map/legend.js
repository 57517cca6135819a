// What the marks mean; and which of them are shown.

import { el, fill } from "../dom.js";
import { onLanguage, t } from "../text.js";

/** Layers one can switch off, by the name of their entry. */
export const GROUPS = {
  incidents: ["incident", "incident-provisional", "incident-count", "incident-chosen"],
  events: ["event", "ellipse", "ellipse-fill"],
  tracks: ["track-symbol", "trail", "trail-point"],
  zones: ["zone-fill", "zone-edge"],
  sites: ["site-ring", "site-point", "site-name"],
  names: ["places"],
};

/**
 * @param {HTMLElement} element
 * @param {(group: string, shown: boolean) => void} show
 */
export function legend(element, show) {
  const off = new Set();
  const toggle = (group) => {
    const box = el("input", { type: "checkbox", checked: !off.has(group) });
    box.addEventListener("change", () => {
      if (box.checked) off.delete(group);
      else off.add(group);
      show(group, box.checked);
    });
    return el("label", {}, box, el("span", {}, t(`legend.${group}`)));
  };
  const mark = (kind, text) => el("li", {}, el("i", { class: `mark ${kind}`, "aria-hidden": "true" }), el("span", {}, t(text)));

  const draw = () => {
    const open = element.querySelector("details")?.open ?? false;
    fill(
      element,
      el(
        "details",
        { open },
        el("summary", {}, t("legend.title")),
        el("div", { class: "toggles" }, Object.keys(GROUPS).map(toggle)),
        el(
          "ul",
          {},
          mark("size", "legend.size"),
          mark("sure", "legend.sure"),
          mark("grave", "legend.grave"),
          mark("serious", "legend.serious"),
          mark("none", "legend.none"),
          mark("provisional", "legend.provisional"),
          mark("uncalibrated", "legend.uncalibrated"),
          mark("ellipse", "legend.ellipse"),
          mark("line", "legend.line"),
          mark("silent", "legend.silent"),
          mark("sea", "legend.sea"),
          mark("air", "legend.air"),
          mark("land", "legend.land"),
          mark("coasting", "legend.coasting"),
        ),
      ),
    );
  };
  draw();
  return onLanguage(draw);
}
