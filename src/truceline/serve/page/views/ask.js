// A question in a dialog: words, a choice, a decision. The browser keeps focus inside and gives it back.

import { el, fill } from "../dom.js";
import { t } from "../text.js";

/**
 * Ask, and do: the dialog stays open, with what went wrong, until `send` succeeds or the person gives up.
 * @param {{title: string, send: (values: Record<string, any>) => Promise<any>, go: string, fields?: any[], danger?: boolean,
 *   also?: {text: string, send: (values: Record<string, any>) => Promise<any>}}} what  `fields`: elements whose inputs
 *   have names; `also`: another way to answer
 * @returns {Promise<boolean>}  whether it was sent
 */
export function ask({ title, send, go, fields = [], also }) {
  return new Promise((resolve) => {
    const trouble = el("p", { class: "state error", role: "alert", hidden: true });
    const buttons = el("div", { class: "buttons" });
    const form = el(
      "form",
      { method: "dialog", novalidate: true },
      el("h2", { id: "asked" }, title),
      fields,
      trouble,
      buttons,
    );
    const dialog = el("dialog", { class: "ask", "aria-labelledby": "asked" }, form);
    let sent = false;
    const answer = async (how) => {
      if (how === send && !form.reportValidity()) return;
      for (const button of buttons.children) button.disabled = true;
      try {
        await how(Object.fromEntries(new FormData(form)));
        sent = true;
        dialog.close();
      } catch (error) {
        trouble.hidden = false;
        fill(trouble, error.message || t("state.unreachable"));
        for (const button of buttons.children) button.disabled = false;
      }
    };
    fill(
      buttons,
      el("button", { type: "submit", class: "primary" }, go),
      also && el("button", { type: "button", on: { click: () => answer(also.send) } }, also.text),
      el("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, t("common.cancel")),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      answer(send);
    });
    // a tired hand sends with Ctrl+Enter
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) answer(send);
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(sent);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Words that are needed. */
export const words = (name, label, attributes = {}) =>
  el("label", { class: "field" }, label, el("textarea", { name, rows: 4, required: true, ...attributes }));

/** One of several. */
export const oneOf = (name, label, pairs) =>
  el(
    "fieldset",
    {},
    el("legend", {}, label),
    pairs.map(([value, text, note]) =>
      el(
        "label",
        { class: "choice" },
        el("input", { type: "radio", name, value, required: true }),
        el("span", {}, text, note && el("small", {}, note)),
      ),
    ),
  );
