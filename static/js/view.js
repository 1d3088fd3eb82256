/** The reader's choices, kept in the address so that a link keeps them too. */

/** @typedef {import("./types.js").Range} Range */
/** @typedef {import("./types.js").Sort} Sort */
/** @typedef {import("./types.js").View} View */

/** @type {View} */
const USUAL = { range: "hour", sort: "total" };
/** @type {readonly Range[]} */
const RANGES = ["hour", "day", "month"];
/** @type {readonly Sort[]} */
const SORTS = ["total", "month", "recent", "name"];

/**
 * @param {string} search the query string; what it cannot mean is left out
 * @returns {View}
 */
export function readView(search) {
  const query = new URLSearchParams(search);
  return {
    range: RANGES.find((range) => range === query.get("range")) ?? USUAL.range,
    sort: SORTS.find((sort) => sort === query.get("sort")) ?? USUAL.sort,
  };
}

/**
 * @param {View} view
 * @returns {string} the query string, empty for the usual view
 */
export function writeView(view) {
  const query = new URLSearchParams();
  if (view.range !== USUAL.range) query.set("range", view.range);
  if (view.sort !== USUAL.sort) query.set("sort", view.sort);
  const text = query.toString();
  return text && `?${text}`;
}
