/** When an account reaches its monthly limit, if it goes on as it did; pure. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * @typedef {{perDay: number, expected: number, reachedAt: string | null}} Pace
 * `expected` is the use at the month's end; `reachedAt` is null if the limit lasts, or there is none
 */

/**
 * @param {{monthlyDmUsed: number, monthlyDmLimit?: number | null, createdAt?: string | null}} account
 * @param {number} now milliseconds since the epoch
 * @returns {Pace | null} null while the month (or the account) is too young to tell
 */
export function paceOf({ monthlyDmUsed, monthlyDmLimit, createdAt }, now) {
  const date = new Date(now);
  const monthStart = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
  const monthEnd = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
  const start = Math.max(monthStart, createdAt ? Date.parse(createdAt) : monthStart);
  const passed = now - start;
  if (passed < HOUR_MS || !monthlyDmUsed) return null;
  const perMs = monthlyDmUsed / passed;
  const left = (monthlyDmLimit ?? 0) - monthlyDmUsed;
  const reached = monthlyDmLimit && left > 0 ? now + left / perMs : Number.POSITIVE_INFINITY;
  return {
    perDay: perMs * DAY_MS,
    expected: monthlyDmUsed + perMs * (monthEnd - now),
    reachedAt: reached < monthEnd ? new Date(reached).toISOString() : null,
  };
}
