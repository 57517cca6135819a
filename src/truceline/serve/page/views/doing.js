// What people do about cases, sent to the service; the same action sent twice is one action.

/** A fresh id of 16 bytes, hexadecimal: chosen here, so that a second try after a lost answer adds nothing. */
export function freshId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** So many actions the service takes at once. */
const MOST = 500;

/** A list out of an answer that is one, or has one under `name`. */
export const listed = (answer, name) => (Array.isArray(answer) ? answer : (answer?.[name] ?? []));

/** One action on one case. */
export const act = (api, caseId, what, fields = {}) =>
  api.post(`/api/cases/${caseId}/actions`, { action_id: freshId(), what, ...fields });

/**
 * One action on many cases, or cases of findings.
 * @returns {Promise<{done: number, refused: string[]}>}
 */
export async function actOnAll(api, caseIds, what, fields = {}) {
  const told = [];
  for (let from = 0; from < caseIds.length; from += MOST) {
    const some = caseIds.slice(from, from + MOST);
    const actions = some.map((case_id) => ({ case_id, action_id: freshId(), what, ...fields }));
    told.push(...(await api.post("/api/cases/actions", { actions })).results);
  }
  const refused = told.filter((one) => one.status !== 200).map((one) => one.detail);
  return { done: told.length - refused.length, refused };
}
