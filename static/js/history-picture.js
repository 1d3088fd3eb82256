/** A history as the chart shows it, and its comparison in words; pure. */

import { percent, MIN_BASE } from "./figures.js";
import { MIN_ELAPSED_SHARE } from "./series.js";
import { RANGES } from "./view.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").History} History */
/** @typedef {import("./types.js").Pair} Pair */
/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Unit} Unit */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The units with an expected range, with its basis; an account's hours are kept for only two weeks. */
const EXPECTED = /** @type {const} */ ({ all: { hour: "weekday and hour", day: "weekday" }, account: { day: "weekday" } });
/** @type {Record<Exclude<Unit, "month">, number>} */
const LENGTH_MS = { minute: 60_000, hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS };

/**
 * @param {History} history
 * @param {import("./types.js").View} view
 * @param {Format} format
 * @param {keyof typeof EXPECTED} [scope]
 * @returns {Picture}
 */
export function pictureFrom(history, view, format, scope = "all") {
  const { points, unit, isOpen, from, to, comparison, band } = history;
  const dates = format.dates(from, to);
  const asOf = isOpen ? `, counted up to ${format.moment(history.computedAt)}` : "";
  return {
    title: view.range === "custom" ? dates : RANGES[view.range].title,
    about: `${dates}${asOf}`,
    unit,
    points,
    // An open range ends with the current minute.
    isRunning: isOpen,
    pace: isOpen ? paceOf(history) : null,
    comparison: comparison && {
      points: comparison.points,
      unmatched: comparison.unmatched,
      words: differenceOf(history, comparison, format),
    },
    to: isOpen ? null : to,
    expected: view.compare === "expected" ? { points: band ?? [], words: wordsOf(unit, band, scope) } : null,
  };
}

/**
 * @param {Unit} unit
 * @param {History["band"]} band
 * @param {keyof typeof EXPECTED} scope
 * @returns {string} the basis of the expected range, and the number of points outside it
 */
function wordsOf(unit, band, scope) {
  /** @type {Partial<Record<Unit, string>>} */
  const units = EXPECTED[scope];
  const what = units[unit];
  if (!band || !what) {
    const others = Object.keys(units);
    return `The expected range${scope === "account" ? " of an account" : ""} is only available by ${others.join(" or ")}.`;
  }
  const known = band.filter((each) => each !== null);
  if (known.length === 0) return "No expected range yet: it needs at least 4 weeks of counts.";
  const outside = known.filter(({ sent, received }) => sent.outside || received.outside).length;
  return `Expected range, from the same ${what} of the 8 weeks before: ${outside} of ${known.length} points are outside.`;
}

/**
 * @param {History} history whose last point is still filling
 * @returns {Pair | null} the last point extrapolated to the end of its bucket; null if it has just begun, or if
 * its beginning may have been cut by the range
 */
function paceOf({ points, unit, computedAt }) {
  const last = points.at(-1);
  if (!last || (points.length === 1 && unit !== "day")) return null;
  const start = Date.parse(last.at);
  const passed = (Date.parse(computedAt) - start) / lengthOf(unit, start);
  if (passed < MIN_ELAPSED_SHARE || passed > 1) return null;
  /** @param {number | null} n */
  const whole = (n) => (n === null ? null : Math.round(n / passed));
  return { sent: whole(last.sent), received: whole(last.received) };
}

/**
 * @param {Unit} unit
 * @param {number} start
 * @returns {number} about how long it is; a day may have an hour more or less
 */
function lengthOf(unit, start) {
  if (unit !== "month") return LENGTH_MS[unit];
  // In the middle of the day in every time zone, so that it is the right month.
  const day = new Date(start + DAY_MS / 2);
  return new Date(Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + 1, 0)).getUTCDate() * DAY_MS;
}

/**
 * @param {History} history
 * @param {NonNullable<History["comparison"]>} comparison
 * @param {Format} format
 * @returns {string}
 */
function differenceOf({ totals, since, isOpen }, comparison, format) {
  const dates = format.dates(comparison.from, comparison.to);
  if (!since || Date.parse(comparison.to) <= Date.parse(since)) return `No comparison: nothing was counted in ${dates}.`;
  const isWhole = Date.parse(comparison.from) >= Math.floor(Date.parse(since) / HOUR_MS) * HOUR_MS;
  const words = ["sent", "received"].map((key) => {
    const which = /** @type {"sent" | "received"} */ (key);
    return changeOf(totals[which], comparison.totals[which], which, isWhole, format);
  });
  const part = isWhole ? "" : ` Counting began during this period, on ${format.date(since)}.`;
  const until = isOpen ? ", up to the same time" : "";
  return `Compared with ${dates}${until}: ${words.join(", ")}.${part}`;
}

/**
 * @param {number | null} now
 * @param {number | null} before
 * @param {string} which
 * @param {boolean} isWhole whether all of the earlier range was counted
 * @param {Format} format
 */
function changeOf(now, before, which, isWhole, format) {
  if (now === null || before === null) return `${which} unknown`;
  if (now === before) return `as many ${which} (${format.count(before)})`;
  const share = isWhole ? percent(now, before, MIN_BASE, format) : "";
  const text = `${format.count(Math.abs(now - before))} ${now > before ? "more" : "fewer"} ${which}`;
  return share && share !== "0%" ? `${text} (${share})` : text;
}
