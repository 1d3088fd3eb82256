/** What the chart shows: a range, its unit and a comparison. It is stored in the address, so that links contain it. */

/** @typedef {import("./types.js").RangeName} RangeName */
/** @typedef {import("./types.js").Unit} Unit */
/** @typedef {import("./types.js").View} View */

/** @type {View} */
const USUAL = { range: "hour", from: "", to: "", unit: "", compare: "none" };
/** @type {Record<Exclude<RangeName, "custom">, {title: string, key: string, days: number}>} `days` is the longest; `all` has no limit */
export const RANGES = {
  hour: { title: "Last hour", key: "h", days: 1 / 24 },
  today: { title: "Today", key: "d", days: 1 },
  yesterday: { title: "Yesterday", key: "e", days: 1 },
  "24h": { title: "Last 24 hours", key: "2", days: 1 },
  "7d": { title: "Last 7 days", key: "w", days: 7 },
  "30d": { title: "Last 30 days", key: "3", days: 30 },
  "90d": { title: "Last 90 days", key: "9", days: 90 },
  month: { title: "This month", key: "m", days: 31 },
  "last-month": { title: "Last month", key: "l", days: 31 },
  "12m": { title: "Last 12 months", key: "y", days: 366 },
  all: { title: "All time", key: "a", days: Infinity },
};
/** @type {readonly View["compare"][]} */
export const COMPARISONS = ["none", "previous", "weekdays", "year", "expected"];
/** @type {Record<Unit, number>} days, the shortest */
const UNIT_DAYS = { minute: 1 / 1440, hour: 1 / 24, day: 1, week: 7, month: 28 };
export const UNITS = /** @type {Unit[]} */ (Object.keys(UNIT_DAYS));
/** The series of the snapshot that have these ranges. */
const IN_SNAPSHOT = /** @type {const} */ ({ hour: "hour", "24h": "day", "30d": "month" });
const MOST_POINTS = 750;
/** A day may have an hour more. */
const SPARE_POINTS = 1;
const DAY_MS = 86_400_000;
const DATE = /^2\d{3}-\d\d-\d\d$/;

/**
 * @param {string} search the query string; invalid values are ignored
 * @param {RangeName} [usual] the range without one in the address
 * @returns {View}
 */
export function readView(search, usual = USUAL.range) {
  const query = new URLSearchParams(search);
  const [from, to] = [query.get("from") ?? "", query.get("to") ?? ""];
  const dates = isDate(from) && isDate(to) && from <= to;
  const named = /** @type {RangeName} */ (Object.keys(RANGES).find((range) => range === query.get("range")));
  return {
    ...(dates ? { range: "custom", from, to } : { range: named ?? usual, from: "", to: "" }),
    unit: UNITS.find((unit) => unit === query.get("unit")) ?? USUAL.unit,
    compare: COMPARISONS.find((kind) => kind === query.get("compare")) ?? USUAL.compare,
  };
}

/**
 * @param {View} view
 * @param {RangeName} [usual] the range that the address need not name
 * @returns {string} the query string, empty for the usual view
 */
export function writeView(view, usual = USUAL.range) {
  const query = new URLSearchParams(viewParameters(view));
  if (view.range === usual) query.delete("range");
  const text = query.toString();
  return text && `?${text}`;
}

/**
 * @param {View} view
 * @param {{tz?: string, weekStart: string}} calendar an account's history is UTC's, and takes no zone
 * @returns {URLSearchParams} the parameters of the API
 */
export function apiQuery(view, calendar) {
  if (view.compare !== "expected") return new URLSearchParams({ ...viewParameters(view), ...calendar });
  return new URLSearchParams({ ...viewParameters({ ...view, compare: "none" }), band: "true", ...calendar });
}

/**
 * @param {View} view
 * @returns {Record<string, string>}
 */
function viewParameters({ range, from, to, unit, compare }) {
  return {
    ...(range === "custom" ? { from, to } : { range }),
    ...(unit && { unit }),
    ...(compare !== "none" && { compare }),
  };
}

/**
 * @param {View} view
 * @returns {import("./types.js").Range | null} the series of the snapshot that shows it; null if none does
 */
export function seriesOf(view) {
  if (view.unit || view.compare !== "none") return null;
  return IN_SNAPSHOT[/** @type {keyof typeof IN_SNAPSHOT} */ (view.range)] ?? null;
}

/**
 * @param {View} view
 * @param {number} now milliseconds since the epoch
 * @param {number | null} since when counting began
 * @returns {Unit[]} the units in which it has more than a part of a bucket, and not too many
 */
export function unitsFor(view, now, since) {
  const days = daysOf(view, now, since);
  return UNITS.filter((unit) => {
    const points = Math.ceil(days / UNIT_DAYS[unit]) + SPARE_POINTS;
    return points <= MOST_POINTS && UNIT_DAYS[unit] <= Math.max(days, UNIT_DAYS.hour);
  });
}

/**
 * @param {View} view
 * @param {number} now
 * @param {number | null} since
 */
function daysOf({ range, from, to }, now, since) {
  if (range === "custom") return (Date.parse(to) - Date.parse(from)) / DAY_MS + 1;
  if (range === "all") return since === null ? 1 : Math.max(1, (now - since) / DAY_MS + 1);
  return RANGES[range].days;
}

/** @param {string} text */
function isDate(text) {
  // A day that does not exist in its month is moved to the next month.
  return DATE.test(text) && Number.isFinite(Date.parse(text)) && new Date(text).toISOString().startsWith(text);
}
