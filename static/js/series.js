/** A snapshot's buckets as the chart and its table need them: evenly spaced, gaps as gaps. */

/** @typedef {import("./types.js").Range} Range */
/** @typedef {import("./types.js").Charted} Charted */
/** @typedef {import("./types.js").Point} Point */

const STEP_MS = { hour: 60_000, day: 3_600_000, month: 86_400_000 };

/**
 * @param {Omit<Charted, "computedAt">} snapshot
 * @param {Range} range
 * @returns {Point[]} oldest first; a bucket that the server left out is there with nulls
 */
export function pointsOf(snapshot, range) {
  const { minutes, hours, days } = snapshot.series;
  const step = STEP_MS[range];
  const points = fill({ hour: minutes, day: hours, month: days }[range], step);
  // Nobody counted before: that is no zero.
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
    if (last) {
      for (let missing = Date.parse(last.at) + step; missing < at; missing += step) {
        points.push({ at: new Date(missing).toISOString(), sent: null, received: null });
      }
    }
    points.push({ at: bucket.at, sent: bucket.sent ?? null, received: bucket.received ?? null });
  }
  return points;
}

/**
 * @param {Point[]} points
 * @returns {{sent: number, received: number}}
 */
export function sums(points) {
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
 * Points in columns for the chart. A last bucket that is still filling has lines of its own, which
 * start at the bucket before, so that an unfinished minute does not look like a collapse.
 * @param {Point[]} points
 * @param {boolean} unfinished whether the last bucket is still filling
 * @returns {[number[], ...(number | null)[][]]} seconds, sent, received, sent so far, received so far
 */
export function columns(points, unfinished) {
  const last = unfinished ? points.length - 1 : points.length;
  /** @param {"sent" | "received"} key */
  const done = (key) => points.map((point, i) => (i < last ? point[key] : null));
  /** @param {"sent" | "received"} key */
  const running = (key) => points.map((point, i) => (i >= last - 1 ? point[key] : null));
  return [
    points.map((point) => Date.parse(point.at) / 1000),
    done("sent"),
    done("received"),
    running("sent"),
    running("received"),
  ];
}

/**
 * @param {readonly (number | null | undefined)[]} values
 * @returns {number[]} where a value stands alone: a line cannot show it
 */
export function lonely(values) {
  /** @param {number} i */
  const absent = (i) => (values[i] ?? null) === null;
  return [...values.keys()].filter((i) => !absent(i) && absent(i - 1) && absent(i + 1));
}
