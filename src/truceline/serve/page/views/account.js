// Who is signed in, and the way in and out.

import { el, fill } from "../dom.js";
import { onLanguage, t } from "../text.js";
import { known } from "./may.js";
import { party } from "./parts.js";
import { say } from "./say.js";

/** The button in the frame: who I am, or the way in. */
export function mount(element, state, api) {
  const show = () => {
    const { session, mission } = state.get();
    const button = known(session)
      ? el(
          "button",
          { type: "button", "aria-haspopup": "dialog", on: { click: () => me(state, api) } },
          session.name,
          el(
            "span",
            { class: "role" },
            `, ${session.party ? t("session.for_party", { party: party(session.party, mission) }) : t(`role.${session.role}`)}`,
          ),
        )
      : el(
          "button",
          { type: "button", class: "main", "aria-haspopup": "dialog", on: { click: () => signIn(api, session?.hint) } },
          t("session.enter"),
        );
    fill(element, button);
  };
  const stops = [state.on(["session", "mission"], show), onLanguage(show)];
  show();
  return () => stops.forEach((stop) => stop());
}

function dialog(title, ...inside) {
  const made = el("dialog", { class: "ask", "aria-labelledby": "asked" }, el("h2", { id: "asked" }, title), inside);
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

const close = () =>
  el(
    "button",
    { type: "button", class: "quiet", on: { click: (event) => event.target.closest("dialog").close() } },
    t("common.close"),
  );

/** The sign-in, over whatever is shown; `hint` is what the service says where nobody has an account yet. */
export function signIn(api, hint = null) {
  const trouble = el("p", { class: "state error", role: "alert", hidden: true });
  const name = el("input", {
    name: "name",
    autocomplete: "username",
    required: true,
    autofocus: true,
    autocapitalize: "none",
    spellcheck: "false",
  });
  const password = el("input", {
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const go = el("button", { type: "submit", class: "primary" }, t("session.enter"));
  const form = el(
    "form",
    { method: "dialog" },
    el("label", { class: "field" }, t("session.name"), name),
    el("label", { class: "field" }, t("session.password"), password),
    trouble,
    el("div", { class: "buttons" }, go, close()),
  );
  const made = dialog(
    t("session.title"),
    hint && el("p", { class: "state", lang: "en" }, hint),
    form,
    el(
      "details",
      { class: "soft" },
      el("summary", {}, t("session.none")),
      el("p", {}, t("session.none.do")),
      el("pre", { tabindex: "0" }, 'truceline account add . olena --role "duty officer"'),
      el("p", {}, t("session.none.role")),
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    fill(go, t("session.entering"));
    try {
      await api.signIn(name.value.trim(), password.value);
      made.close();
      say(t("session.welcome", { name: name.value.trim() }));
    } catch (error) {
      trouble.hidden = false;
      fill(
        trouble,
        error.status === 401 ? t("session.wrong") : error.status === 429 ? t("session.slow") : error.message,
      );
      password.value = "";
      password.focus();
    }
    go.disabled = false;
    fill(go, t("session.enter"));
  });
}

/** Who I am and what I see, and the way out. */
function me(state, api) {
  const { session, mission } = state.get();
  const leave = async (event) => {
    event.target.disabled = true;
    try {
      await api.signOut();
    } finally {
      made.close();
    }
  };
  const made = dialog(
    session.name,
    el(
      "dl",
      { class: "facts" },
      [
        [t("session.role"), t(`role.${session.role}`)],
        session.party && [t("session.party"), party(session.party, mission)],
        [t("session.sees_title"), t(`label.${session.label}`)],
      ].filter(Boolean).map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))), // prettier-ignore
    ),
    session.label !== "mission" && el("p", { class: "scope" }, t(`seen.${session.label}`)),
    el(
      "div",
      { class: "buttons" },
      el("button", { type: "button", on: { click: leave } }, t("session.leave")),
      close(),
    ),
  );
}
