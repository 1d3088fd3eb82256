/** A snapshot's buckets as the chart and its table need them: evenly spaced, gaps as gaps. */

/** @typedef {import("./types.js").Range} Range */
/** @typedef {import("./types.js").Charted} Charted */
/** @typedef {import("./types.js").Point} Point */

export const STEP_MS = { hour: 60_000, day: 3_600_000, month: 86_400_000 };
/** @type {Record<Range, import("./types.js").Unit>} */
const UNITS = { hour: "minute", day: "hour", month: "day" };

/** The longest gap in buckets. A longer one comes from a wrong time: the points before it are dropped. */
const LONGEST_GAP = 500;
/** The share of a bucket that must have passed before it is extrapolated. */
export const MIN_ELAPSED_SHARE = 0.1;

/**
 * @param {Omit<Charted, "computedAt">} snapshot
 * @param {Range} range
 * @returns {Point[]} oldest first; a bucket that the server left out is there with nulls
 */
export function pointsOf(snapshot, range) {
  const { minutes, hours, days } = snapshot.series;
  const step = STEP_MS[range];
  const points = fill({ hour: minutes, day: hours, month: days }[range], step);
  // Before counting began the numbers are unknown, not zero.
  const since = snapshot.since ? Date.parse(snapshot.since) : 0;
  return points.map((point) =>
    Date.parse(point.at) + step <= since ? { at: point.at, sent: null, received: null } : point,
  );
}

/**
 * @param {Point[]} buckets oldest first
 * @param {number} step milliseconds
 * @returns {Point[]}
 */
function fill(buckets, step) {
  /** @type {Point[]} */
  const points = [];
  for (const bucket of buckets) {
    const at = Date.parse(bucket.at);
    const last = points.at(-1);
    if (last && at - Date.parse(last.at) > LONGEST_GAP * step) points.length = 0;
    else if (last) {
      // Half a step more, since a day has 25 hours when summer time ends.
      for (let missing = Date.parse(last.at) + step; missing + step / 2 < at; missing += step) {
        points.push({ at: new Date(missing).toISOString(), sent: null, received: null });
      }
    }
    points.push(bucket);
  }
  return points;
}

/**
 * @param {Point[]} points
 * @returns {{sent: number, received: number}}
 */
export function totalsOf(points) {
  let sent = 0;
  let received = 0;
  for (const point of points) {
    sent += point.sent ?? 0;
    received += point.received ?? 0;
  }
  return { sent, received };
}

/**
 * @param {Point[]} points
 * @param {Range} range
 * @param {string} computedAt
 * @returns {boolean} whether the last bucket was still filling when the figures were computed
 */
export function isRunning(points, range, computedAt) {
  const last = points.at(-1);
  return last !== undefined && Date.parse(last.at) + STEP_MS[range] > Date.parse(computedAt);
}

/**
 * @param {Charted} snapshot
 * @param {Range} range
 * @param {string} title
 * @returns {import("./types.js").Picture}
 */
export function pictureOf(snapshot, range, title) {
  const points = pointsOf(snapshot, range);
  const running = isRunning(points, range, snapshot.computedAt);
  return {
    title,
    about: "",
    unit: UNITS[range],
    points: running ? points.map((point, i) => (i === points.length - 1 ? { ...point, partial: true } : point)) : points,
    isRunning: running,
    pace: paceOfLast(points, range, snapshot.computedAt),
    comparison: null,
    to: null,
    expected: null,
  };
}

/**
 * Points in columns for the chart. A bucket that is still filling, or that the range cuts, has columns of its
 * own: drawn as part of the line it would look like a collapse. The same part of the earlier one is left out.
 * @param {Point[]} points
 * @param {(Point | null)[]} [before] the earlier points beside them
 * @returns {[number[], ...(number | null)[][]]} seconds, sent, received, sent so far, received so far, sent
 * before, received before
 */
export function columns(points, before = []) {
  /** @param {"sent" | "received"} key */
  const done = (key) => points.map((point) => (point.partial ? null : point[key]));
  /** @param {"sent" | "received"} key */
  const part = (key) => points.map((point) => (point.partial ? point[key] : null));
  /** @param {"sent" | "received"} key */
  const earlier = (key) => points.map((point, i) => (point.partial || before[i]?.partial ? null : (before[i]?.[key] ?? null)));
  return [
    points.map((point) => Date.parse(point.at) / 1000),
    done("sent"),
    done("received"),
    part("sent"),
    part("received"),
    earlier("sent"),
    earlier("received"),
  ];
}

/**
 * @param {Point[]} points
 * @param {(import("./types.js").Expected | null)[]} [expected] of each point
 * @returns {(number | null)[][]} the highest usual sent and received, the lowest, and the points outside
 */
export function bandColumns(points, expected = []) {
  /** @type {("sent" | "received")[]} */
  const keys = ["sent", "received"];
  return [
    ...keys.map((key) => points.map((_, i) => expected[i]?.[key].high ?? null)),
    ...keys.map((key) => points.map((_, i) => expected[i]?.[key].low ?? null)),
    ...keys.map((key) => points.map((point, i) => (expected[i]?.[key].outside ? point[key] : null))),
  ];
}

/**
 * @param {Point[]} points
 * @param {Range} range
 * @param {string} computedAt
 * @returns {{sent: number | null, received: number | null} | null} the last bucket extrapolated to its
 * end; null if it is full, or has just begun
 */
export function paceOfLast(points, range, computedAt) {
  const last = points.at(-1);
  if (!last || !isRunning(points, range, computedAt)) return null;
  const passed = (Date.parse(computedAt) - Date.parse(last.at)) / STEP_MS[range];
  if (passed < MIN_ELAPSED_SHARE) return null;
  /** @param {number | null} n */
  const whole = (n) => (n === null ? null : Math.round(n / passed));
  return { sent: whole(last.sent), received: whole(last.received) };
}

/**
 * @param {readonly (number | null | undefined)[]} values
 * @returns {number[]} where a value stands alone: a line cannot show it
 */
export function isolatedIndexes(values) {
  /** @param {number} i */
  const absent = (i) => (values[i] ?? null) === null;
  return [...values.keys()].filter((i) => !absent(i) && absent(i - 1) && absent(i + 1));
}
