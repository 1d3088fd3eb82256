/** The server's time, by the answers to this page's requests: the reader's own clock may be wrong. */

/** The header `Date` has whole seconds and is some time on its way: a right clock is more exact. */
const TOLERANCE_MS = 5000;
let ahead = 0;

/** @param {Response} response */
export function hear(response) {
  const difference = Date.parse(response.headers?.get("Date") ?? "") - Date.now();
  if (Number.isFinite(difference)) ahead = Math.abs(difference) > TOLERANCE_MS ? difference : 0;
}

/** @returns {number} milliseconds since the epoch */
export function now() {
  return Date.now() + ahead;
}

/**
 * @param {string} at RFC 3339
 * @returns {number} the seconds since then
 */
export function ageOf(at) {
  return (now() - Date.parse(at)) / 1000;
}
