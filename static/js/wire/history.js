/** Reads the API's history into typed values; what is unknown is null. */

import { asList, asNumber, asObject, asPair, asTime } from "./values.js";

/** @typedef {import("../types.js").Expected} Expected */
/** @typedef {import("../types.js").History} History */
/** @typedef {import("../types.js").Point} Point */
/** @typedef {import("../types.js").Usual} Usual */

const HOUR_MS = 3_600_000;
const UNITS = /** @type {const} */ (["minute", "hour", "day", "week", "month"]);

/**
 * @param {unknown} json
 * @returns {History | null} null if it is no history
 */
export function historyFrom(json) {
  const found = asObject(json);
  const range = asObject(found.range);
  const [from, to, computedAt] = [asTime(range.from), asTime(range.to), asTime(found.computedAt)];
  const unit = UNITS.find((each) => each === found.unit);
  if (!from || !to || !computedAt || !unit || !Array.isArray(found.points)) return null;
  const since = asTime(found.since);
  const points = pointsOf(found.points);
  if (points.includes(null)) return null;
  return {
    from,
    to,
    isOpen: range.open === true,
    unit,
    points: known(/** @type {Point[]} */ (points), to, since),
    totals: asPair(found.totals),
    comparison: comparisonOf(found.comparison, since),
    band: bandOf(found.band),
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
  const found = asObject(json);
  const [from, to] = [asTime(found.from), asTime(found.to)];
  if (!from || !to || !Array.isArray(found.points)) return null;
  return {
    from,
    to,
    points: known(pointsOf(found.points), to, since),
    unmatched: pointsOf(asList(found.unmatched)).filter((point) => point !== null),
    totals: asPair(found.totals),
  };
}

/**
 * @param {unknown} json
 * @returns {(Expected | null)[] | null} what was to be expected of each point, null where that is unknown; null
 * without a band
 */
function bandOf(json) {
  const { points } = asObject(json);
  if (!Array.isArray(points)) return null;
  return points.map((each) => {
    const [sent, received] = [usualOf(asObject(each).sent), usualOf(asObject(each).received)];
    return sent && received && { sent, received };
  });
}

/**
 * @param {unknown} json
 * @returns {Usual | null}
 */
function usualOf(json) {
  const { low, high, outside } = asObject(json);
  const [least, most] = [asNumber(low), asNumber(high)];
  if (least === null || most === null) return null;
  return { low: least, high: most, outside: outside === "above" || outside === "below" ? outside : null };
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
    const at = asTime(asObject(each).at);
    return at === null ? null : { at, ...asPair(each), ...(asObject(each).partial === true && { partial: true }) };
  });
}
