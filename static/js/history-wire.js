/** Reads the API's history into typed values; what is unknown is null. */

import { moment, number } from "./wire.js";

/** @typedef {import("./types.js").History} History */
/** @typedef {import("./types.js").Pair} Pair */
/** @typedef {import("./types.js").Point} Point */

const HOUR_MS = 3_600_000;
const UNITS = /** @type {const} */ (["minute", "hour", "day", "week", "month"]);

/**
 * @param {unknown} json
 * @returns {History | null} null if it is no history
 */
export function historyFrom(json) {
  const found = fields(json);
  const range = fields(found.range);
  const [from, to, computedAt] = [moment(range.from), moment(range.to), moment(found.computedAt)];
  const unit = UNITS.find((each) => each === found.unit);
  if (!from || !to || !computedAt || !unit || !Array.isArray(found.points)) return null;
  const since = moment(found.since);
  const points = pointsOf(found.points);
  if (points.includes(null)) return null;
  return {
    from,
    to,
    isOpen: range.open === true,
    unit,
    points: known(/** @type {Point[]} */ (points), to, since),
    totals: pairOf(found.totals),
    comparison: comparisonOf(found.comparison, since),
    since,
    computedAt,
  };
}

/**
 * @param {unknown} json
 * @param {string | null} since
 * @returns {History["comparison"]}
 */
function comparisonOf(json, since) {
  const found = fields(json);
  const [from, to] = [moment(found.from), moment(found.to)];
  if (!from || !to || !Array.isArray(found.points)) return null;
  return {
    from,
    to,
    points: known(pointsOf(found.points), to, since),
    unmatched: pointsOf(Array.isArray(found.unmatched) ? found.unmatched : []).filter((point) => point !== null),
    totals: pairOf(found.totals),
  };
}

/**
 * @template {Point | null} T
 * @param {T[]} points
 * @param {string} to their end
 * @param {string | null} since
 * @returns {T[]} before counting began the figures are unknown, not zero; where it began, they are a part
 */
function known(points, to, since) {
  const began = since ? Date.parse(since) : Infinity;
  const hour = began - (began % HOUR_MS);
  let end = Date.parse(to);
  return [...points]
    .reverse()
    .map((point) => {
      if (!point) return point;
      const start = Date.parse(point.at);
      const seen = end <= began ? { ...point, sent: null, received: null } : start < hour ? { ...point, partial: true } : point;
      end = start;
      return seen;
    })
    .reverse();
}

/**
 * @param {unknown[]} list
 * @returns {(Point | null)[]}
 */
function pointsOf(list) {
  return list.map((each) => {
    const at = moment(fields(each).at);
    return at === null ? null : { at, ...pairOf(each), ...(fields(each).partial === true && { partial: true }) };
  });
}

/**
 * @param {unknown} value
 * @returns {Pair}
 */
function pairOf(value) {
  const { sent, received } = fields(value);
  return { sent: number(sent), received: number(received) };
}

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
function fields(value) {
  return typeof value === "object" && value !== null ? /** @type {Record<string, unknown>} */ (value) : {};
}
