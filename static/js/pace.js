/** When an account will reach its limits at its current rate; pure. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YOUNG_MS = 300_000;

/** @typedef {import("./types.js").Account} Account */
/** @typedef {import("./types.js").Activity} Activity */
/** @typedef {import("./types.js").Point} Point */

/**
 * @typedef {{perDay: number, expected: number, reachedAt: string | null}} Pace
 * `expected` is the use at the month's end; `reachedAt` is null if the limit lasts, or there is none
 */

/**
 * @param {Pick<Account, "monthlyDmUsed" | "monthlyDmLimit" | "createdAt">} account
 * @param {number} now milliseconds since the epoch
 * @returns {Pace | null} null while the month (or the account) is too young to tell
 */
export function paceOf({ monthlyDmUsed, monthlyDmLimit, createdAt }, now) {
  const date = new Date(now);
  const monthStart = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
  const monthEnd = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
  const start = Math.max(monthStart, createdAt ? Date.parse(createdAt) : monthStart);
  const passed = now - start;
  if (!(passed >= HOUR_MS) || !monthlyDmUsed || monthlyDmUsed < 0) return null;
  const perMs = monthlyDmUsed / passed;
  const left = (monthlyDmLimit ?? 0) - monthlyDmUsed;
  const reached = monthlyDmLimit && left > 0 ? now + left / perMs : Number.POSITIVE_INFINITY;
  return {
    perDay: perMs * DAY_MS,
    expected: monthlyDmUsed + perMs * (monthEnd - now),
    reachedAt: reached < monthEnd ? new Date(reached).toISOString() : null,
  };
}

/**
 * @typedef {{last: Point, sent: number, soFar: number, expected: number | null, reachedAt: string | null}} HourPace
 * `sent` is that of the `last` full hour; `expected` at the end of the running one is null while
 * that is too young to tell; `reachedAt` is null if the limit lasts, is used up, or there is none
 */

/**
 * @param {Activity} activity
 * @returns {HourPace | null} null while nothing is known of the last full hour
 */
export function hourPaceOf({ at, hours, hourlyDmLimit }) {
  const [last, running] = hours.slice(-2);
  if (!at || !last || !running || last.sent === null || running.sent === null) return null;
  const start = Date.parse(running.at);
  const passed = Date.parse(at) - start;
  const soFar = running.sent;
  const young = passed < YOUNG_MS || !soFar;
  const left = (hourlyDmLimit ?? 0) - soFar;
  const reached = young || !hourlyDmLimit || left <= 0 ? Infinity : Date.parse(at) + (left * passed) / soFar;
  return {
    last,
    sent: last.sent,
    soFar,
    expected: young ? null : (soFar * HOUR_MS) / passed,
    reachedAt: reached < start + HOUR_MS ? new Date(reached).toISOString() : null,
  };
}
