/** Messages by weekday and hour: the averages of a history's hours; pure. */

/** @typedef {import("./types.js").Point} Point */

export const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const HOURS = 24;
const DAY_MS = 86_400_000;
/** By hour, more days have too many points for one answer (750). */
const MOST_DAYS = 31;

/**
 * @param {Point[]} points by hour; what is unknown, or only a part of its hour, is left out
 * @param {(at: string) => {weekday: number, hour: number}} place weekday from 0 (Monday)
 * @returns {{mean: (number | null)[][], most: number}} messages an hour by weekday and hour, null without any
 */
export function weekdayHourMeans(points, place) {
  const sums = WEEKDAYS.map(() => Array.from({ length: HOURS }, () => ({ messages: 0, hours: 0 })));
  for (const point of points) {
    if (point.partial || point.sent === null || point.received === null) continue;
    const { weekday, hour } = place(point.at);
    const cell = sums[weekday]?.[hour];
    if (!cell) continue;
    cell.messages += point.sent + point.received;
    cell.hours += 1;
  }
  const mean = sums.map((day) => day.map(({ messages, hours }) => (hours ? messages / hours : null)));
  return { mean, most: Math.max(0, ...mean.flat().map((n) => n ?? 0)) };
}

/**
 * @param {string} from
 * @param {string} to
 * @returns {string} where its last 31 days begin
 */
export function lastDays(from, to) {
  return new Date(Math.max(Date.parse(from), Date.parse(to) - MOST_DAYS * DAY_MS)).toISOString();
}

/**
 * @param {string} weekStart as the API names it
 * @returns {number[]} the weekdays in the reader's order
 */
export function weekFrom(weekStart) {
  const first = Math.max(0, ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"].indexOf(weekStart));
  return WEEKDAYS.map((_, i) => (i + first) % WEEKDAYS.length);
}
