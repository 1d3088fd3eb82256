/** The reader's choice, kept in the address so that a link keeps it too. */

/** @typedef {import("./types.js").Range} Range */
/** @typedef {import("./types.js").View} View */

/** @type {View} */
const USUAL = { range: "hour" };
/** @type {readonly Range[]} */
const RANGES = ["hour", "day", "month"];

/**
 * @param {string} search the query string; what it cannot mean is left out
 * @returns {View}
 */
export function readView(search) {
  const query = new URLSearchParams(search);
  return {
    range: RANGES.find((range) => range === query.get("range")) ?? USUAL.range,
  };
}

/**
 * @param {View} view
 * @returns {string} the query string, empty for the usual view
 */
export function writeView(view) {
  const query = new URLSearchParams();
  if (view.range !== USUAL.range) query.set("range", view.range);
  const text = query.toString();
  return text && `?${text}`;
}
