// What may be done about a case, by whom it is seen, and what was done: buttons only for what is allowed.

import { el } from "../dom.js";
import { t } from "../text.js";
import { ask, oneOf, words } from "./ask.js";
import { act } from "./doing.js";
import { bytes, english, time } from "./parts.js";

/** The keys of actions, in the order in which they are offered. */
export const KEYS = {
  triage: "t", investigate: "i", assign: "a", verdict: "v", attribute: "w", request_release: "r", approve_release: "r",
  notify: "p", review: "y", close: "c", reopen: "o", note: "n", attach: "f", dispute: "d", withdraw_release: "x",
}; // prettier-ignore

const VERDICTS = ["verified", "not verified", "insufficient", "exempt"];
const LABELS = ["parties", "sending_states", "public"];
const LARGEST_BYTES = 32 * 2 ** 20; // the service's bound; it says so itself where it is another

/**
 * What can be done about a case: by action, a function that asks what it needs and does it.
 * @param {{caseId: string, allowed: string[], told: any, session: any, api: any, after: () => void}} on
 */
export function doings({ caseId, allowed, told, session, api, after }) {
  const done = (promise) => promise.then((sent) => void (sent !== false && after()));
  const send =
    (what, more = {}) =>
    (values) =>
      act(api, caseId, what, { ...values, ...more });
  const inWords = (what, label) => () =>
    done(
      ask({ title: t(`action.${what}`), go: t(`action.${what}`), fields: [words("text", label)], send: send(what) }),
    );
  const pending = told.case?.pending_release ?? null;
  const out = told.case?.release?.in_force ? told.case.release : null;
  const all = {
    triage: () => done(act(api, caseId, "triage")),
    investigate: () => done(act(api, caseId, "investigate")),
    assign: () => done(act(api, caseId, "assign", { assignee: session.name })),
    verdict: () =>
      done(
        ask({
          title: t("action.verdict"),
          go: t("verdict.sign"),
          fields: [
            oneOf(
              "verdict",
              t("verdict.which"),
              VERDICTS.map((one) => [one, t(`case.${one}`), t(`verdict.${one}`)]),
            ),
            words("reason", t("verdict.reason")),
            el("p", { class: "soft" }, t("verdict.signed", { name: session.name })),
          ],
          send: (values) => api.post(`/api/cases/${caseId}/verdict`, values),
        }),
      ),
    attribute: inWords("attribute", t("attribute.words")),
    notify: inWords("notify", t("notify.words")),
    review: inWords("review", t("review.words")),
    close: inWords("close", t("close.words")),
    reopen: inWords("reopen", t("reopen.words")),
    note: inWords("note", t("note.words")),
    dispute: inWords("dispute", t("dispute.words")),
    request_release: () => done(requestRelease(told, send)),
    approve_release: pending && (() => done(answerRelease(pending, session, send))),
    withdraw_release:
      (out ?? pending) &&
      (() =>
        done(
          ask({
            title: t("action.withdraw_release"),
            go: t("action.withdraw_release"),
            fields: [outgoing(out ?? pending), words("text", t("release.why"))],
            send: send("withdraw_release", { about: (out ?? pending).action_id }),
          }),
        )),
    attach: () => done(attach(api, caseId)),
  };
  return Object.fromEntries(
    Object.keys(KEYS)
      .filter((what) => allowed.includes(what) && all[what])
      .map((what) => [what, all[what]]),
  );
}

function requestRelease(told, send) {
  const text = words("text", t("release.text"), { rows: 6, value: told.sentence ?? "" });
  const shown = el("blockquote", { class: "outgoing", lang: "en" }, text.querySelector("textarea").value);
  text.addEventListener("input", (event) => (shown.textContent = event.target.value));
  const to = oneOf(
    "label",
    t("release.to"),
    LABELS.map((one) => [one, t(`release.to.${one}`), t(`release.to.${one}.note`)]),
  );
  const fields = [text, to, el("p", {}, t("release.exact")), shown, el("p", { class: "soft" }, t("release.two"))];
  return ask({ title: t("action.request_release"), go: t("release.ask"), fields, send: send("request_release") });
}

function answerRelease(pending, session, send) {
  const why = el("label", { class: "field" }, t("release.refuse.why"), el("textarea", { name: "text", rows: 2 }));
  const about = { about: pending.action_id };
  return ask({
    title: t("action.approve_release"),
    go: t("release.approve"),
    fields: [outgoing(pending), why],
    send: () => send("approve_release", about)({}),
    also: { text: t("release.refuse"), send: send("refuse_release", about) },
  });
}

/** The words that go out and to whom, exactly. */
export const outgoing = (release) => [
  el(
    "p",
    {},
    t("release.goes", { to: t(`release.to.${release.label}`), by: release.requested_by ?? release.by ?? "—" }),
  ),
  english(release.text, "blockquote", { class: "outgoing" }),
];

function attach(api, caseId) {
  const file = el("input", { type: "file", name: "file", required: true });
  const label = el("label", { class: "field" }, t("attach.file", { most: bytes(LARGEST_BYTES) }), file);
  const note = el("p", { class: "soft" }, t("attach.note"));
  const send = () => {
    const [chosen] = file.files;
    const query = new URLSearchParams({ name: chosen.name });
    const type = chosen.type || "application/octet-stream";
    return api.put(`/api/cases/${caseId}/attachments?${query}`, chosen, { "content-type": type });
  };
  return ask({ title: t("action.attach"), go: t("attach.send"), fields: [label, note], send });
}

/** Buttons for what is allowed, each with its key. */
export const buttons = (doing, run) =>
  el(
    "div",
    { class: "actions", role: "group", "aria-label": t("actions.title") },
    Object.entries(doing).map(([what, go]) =>
      el(
        "button",
        { type: "button", data: { action: what }, "aria-keyshortcuts": KEYS[what], on: { click: () => run(go) } },
        t(what === "assign" ? "action.assign_me" : `action.${what}`),
        el("kbd", { "aria-hidden": "true" }, KEYS[what]),
      ),
    ),
  );

/** What was done about a case, the newest first. */
export function history(entries) {
  if (!entries?.length) return el("p", { class: "soft" }, t("history.none"));
  const line = (one) => {
    const title = one.verdict ? t("history.verdict", { verdict: t(`case.${one.verdict}`) }) : t(`did.${one.what}`);
    return el(
      "li",
      { class: one.void ? "void" : null, data: { what: one.what } },
      time(one.at),
      " ",
      el("b", {}, one.by),
      one.role && ` (${t(`role.${one.role}`)}${one.party ? `, ${t("session.for_party", { party: one.party })}` : ""})`,
      ": ",
      title,
      one.assignee && `: ${one.assignee}`,
      one.label && ` → ${t(`label.short.${one.label}`)}`,
      (one.text ?? one.reason) && el("blockquote", {}, one.text ?? one.reason),
      one.attachment_sha256 && [
        ": ",
        el(
          "a",
          { href: `/api/attachments/${one.attachment_sha256}`, download: one.attachment_name ?? "" },
          `${one.attachment_name ?? one.attachment_sha256} (${bytes(one.attachment_bytes)})`,
        ),
      ],
      one.void && el("p", { class: "soft" }, t("history.void"), " ", english(one.void)),
    );
  };
  return el("ol", { class: "history" }, [...entries].reverse().map(line));
}
