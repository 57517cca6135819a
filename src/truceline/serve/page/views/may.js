// What a role may do, as the service decides it: what somebody may not do is not shown to them. The service asks again.

/** @type {Record<string, string[]>} */
export const PRIVILEGES = {
  evidence: ["viewer", "verifier", "duty officer", "administrator"],
  report: ["reporter", "verifier", "duty officer", "administrator"],
  triage: ["verifier", "duty officer"],
  verify: ["verifier", "duty officer"],
  release: ["duty officer"],
  acknowledge: ["verifier", "duty officer"],
  dispute: ["viewer"],
  operate: ["duty officer", "administrator"],
  administer: ["administrator"],
};

/** Whether whoever is signed in may. */
export function may(session, privilege) {
  if (!session || session.via === "anonymous" || !PRIVILEGES[privilege].includes(session.role)) return false;
  if (privilege === "dispute") return Boolean(session.party);
  return session.label === "mission" && !session.party;
}

/** Whether somebody has said who they are. */
export const known = (session) => Boolean(session) && session.via !== "anonymous";
