// Work takes turns: what one change asks of map, marks and lists is done piece by piece, each in a task of its own, so
// that no single task holds up a key or a frame.

/** @type {Map<string, () => void>} */
const waiting = new Map();
let next = 0;

/**
 * Do a piece of work in a turn of its own, soon. The same name again before its turn replaces it: the work reads what
 * is the case when it is done, so the last is enough.
 * @param {string} name
 * @param {() => void} work
 */
export function inTurn(name, work) {
  waiting.set(name, work);
  next ||= window.setTimeout(turn, 0);
}

function turn() {
  const [first] = waiting;
  if (!first) return void (next = 0);
  waiting.delete(first[0]);
  next = waiting.size ? window.setTimeout(turn, 0) : 0;
  first[1]();
}
