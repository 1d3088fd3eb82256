/** Incidents by day, and in words. */

/** @typedef {import("./types.js").Alert} Alert */
/** @typedef {import("./types.js").Incident} Incident */
/** @typedef {import("./format.js").Format} Format */
/** @typedef {{start: number, seconds: number, incidents: number, level: "fine" | "some" | "long"}} Day */

export const DAYS = 90;
const DAY_HOURS = 24;
/** From this duration a day is shown as bad: after an hour of failures Meta may disable the webhook. */
const LONG_SECONDS = 3600;

/**
 * @param {Incident[]} incidents
 * @param {number} now milliseconds since the epoch
 * @returns {Day[]} the last 90 days of the reader's calendar, oldest first; `seconds` of a day are those
 * in which at least one incident was open
 */
export function daysOf(incidents, now) {
  const spans = incidents.map((incident) => spanOf(incident, now)).filter((span) => span !== null);
  const today = new Date(now);
  return Array.from({ length: DAYS }, (_, i) => {
    const back = DAYS - 1 - i;
    const start = new Date(today.getFullYear(), today.getMonth(), today.getDate() - back).getTime();
    const end = new Date(today.getFullYear(), today.getMonth(), today.getDate() - back + 1).getTime();
    const inside = spans.filter(([from, to]) => from < end && to > start);
    const clipped = inside.map(
      ([from, to]) => /** @type {[number, number]} */ ([Math.max(from, start), Math.min(to, end)]),
    );
    const seconds = covered(clipped) / 1000;
    const level = inside.length === 0 ? "fine" : seconds < LONG_SECONDS ? "some" : "long";
    return { start, seconds, incidents: inside.length, level };
  });
}

/**
 * @param {Incident} incident
 * @param {number} now
 * @returns {[number, number] | null}
 */
function spanOf({ beganAt, endedAt }, now) {
  if (!beganAt || endedAt === undefined) return null;
  const from = Date.parse(beganAt);
  return [from, Math.max(from + 1, endedAt ? Date.parse(endedAt) : now)];
}

/**
 * @param {[number, number][]} spans
 * @returns {number} the total time that they cover
 */
function covered(spans) {
  let total = 0;
  let reached = -Infinity;
  for (const [from, to] of spans.sort(([a], [b]) => a - b)) {
    total += Math.max(0, to - Math.max(from, reached));
    reached = Math.max(reached, to);
  }
  return total;
}

/**
 * @param {Day[]} days
 * @returns {string} all bars in one sentence, for screen readers
 */
export function summaryOf(days) {
  const bad = days.filter((day) => day.incidents > 0).length;
  if (bad === 0) return `No incidents in the last ${DAYS} days`;
  return `Incidents on ${bad} of the last ${DAYS} days`;
}

/**
 * @param {Day} day
 * @param {Format} format
 */
export function dayText(day, format) {
  // Noon: the day's start may not exist in the reader's time zone.
  const name = format.date(new Date(day.start + (DAY_HOURS / 2) * 3_600_000).toISOString());
  if (day.incidents === 0) return `${name}: no incidents`;
  const n = day.incidents === 1 ? "1 incident" : `${day.incidents} incidents`;
  return `${name}: ${n}, ${format.duration(day.seconds)}`;
}

/**
 * @param {Incident} incident
 * @param {number} now
 * @param {Format} format
 */
export function lengthOf(incident, now, format) {
  const span = spanOf(incident, now);
  if (!span) return "unknown";
  return format.duration((span[1] - span[0]) / 1000);
}

/**
 * @param {Incident} incident
 * @returns {string} the notified channels, in a few words
 */
export function toldText({ alerts }) {
  if (alerts.length === 0) return "no channel";
  const names = [...new Set(alerts.filter((alert) => alert.toldAt).map((alert) => alert.channel))];
  const failing = alerts.some((alert) => !alert.toldAt);
  if (names.length === 0) return "no channel yet";
  return failing ? `${names.join(", ")}; some not sent` : names.join(", ");
}

/**
 * @param {Alert} alert
 * @param {Format} format
 */
export function alertText(alert, format) {
  if (alert.toldAt) return `Sent at ${format.moment(alert.toldAt)}`;
  const why = alert.problem ? `: ${alert.problem}` : "";
  if (alert.nextAt && alert.attempts === 0) return "Not sent yet";
  const tried = `${alert.attempts} ${alert.attempts === 1 ? "attempt" : "attempts"}`;
  if (alert.nextAt) return `Not sent yet, ${tried}${why}`;
  return `Not sent, gave up after ${tried}${why}`;
}
