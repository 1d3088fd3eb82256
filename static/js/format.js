/** Numbers and times in the reader's language and time zone. */

/** @typedef {import("./types.js").Range} Range */

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/**
 * @param {string | undefined} locale undefined: the reader's own
 * @param {string | undefined} timeZone undefined: the reader's own
 */
export function createFormat(locale = undefined, timeZone = undefined) {
  const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  const tenth = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  const short = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
  const share = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
  const change = new Intl.NumberFormat(locale, {
    style: "percent",
    maximumFractionDigits: 0,
    signDisplay: "exceptZero",
  });
  const difference = new Intl.NumberFormat(locale, { maximumFractionDigits: 0, signDisplay: "always" });
  const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", timeZone });
  const dayClock = new Intl.DateTimeFormat(locale, {
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    timeZone,
  });
  const date = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium", timeZone });
  // The server's days and months are UTC's; shown in another zone they would carry the wrong name.
  const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", timeZone: "UTC" });
  const weekday = new Intl.DateTimeFormat(locale, {
    weekday: "short",
    day: "numeric",
    month: "short",
    timeZone: "UTC",
  });
  const month = new Intl.DateTimeFormat(locale, { month: "long", year: "numeric", timeZone: "UTC" });
  const units = {
    day: unit("day"),
    hour: unit("hour"),
    minute: unit("minute"),
    second: unit("second"),
  };

  /** @param {string} name */
  function unit(name) {
    return new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "narrow" });
  }

  /**
   * @param {number} seconds
   * @returns {string} in its one or two largest units: "42s", "3m 5s", "2h 10m", "4d"
   */
  function duration(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    if (s < MINUTE) return units.second.format(s);
    if (s < 10 * MINUTE) return pair(units.minute, Math.floor(s / MINUTE), units.second, s % MINUTE);
    if (s < HOUR) return units.minute.format(Math.floor(s / MINUTE));
    if (s < DAY) return pair(units.hour, Math.floor(s / HOUR), units.minute, Math.floor((s % HOUR) / MINUTE));
    return units.day.format(Math.floor(s / DAY));
  }

  return {
    /** @param {number} n */
    count: (n) => whole.format(n),
    /** @param {number} n */
    rate: (n) => (n < 10 ? tenth : whole).format(n),
    /** @param {number} n */
    compact: (n) => (n < 10_000 ? whole : short).format(n),
    /** @param {number} n from 0 to 1 */
    share: (n) => share.format(n),
    /** @param {number} n 0.08 is eight per cent more */
    change: (n) => change.format(n),
    /** @param {number} n 3 is three more */
    difference: (n) => difference.format(n),
    duration,
    /** @param {number} seconds in minutes and seconds: it is seen to run */
    countdown: (seconds) =>
      pair(units.minute, Math.floor(seconds / MINUTE), units.second, Math.floor(seconds % MINUTE)),
    /** @param {string} at */
    time: (at) => clock.format(new Date(at)),
    /** @param {string} at */
    moment: (at) => full.format(new Date(at)),
    /** @param {string} at */
    date: (at) => date.format(new Date(at)),
    /** @param {string} at */
    day: (at) => day.format(new Date(at)),
    /** @param {string} name "2026-11" */
    month: (name) => month.format(new Date(`${name}-01T00:00:00Z`)),
    /**
     * @param {string} at
     * @returns {string} to the second, for a hover
     */
    utc: (at) => `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`,
    /**
     * @param {Range} range
     * @param {string} at the bucket's start
     * @returns {string} the bucket's name
     */
    bucket(range, at) {
      const start = new Date(at);
      if (range === "month") return weekday.format(start);
      return (range === "day" ? dayClock : clock).format(start);
    },
  };
}

/** @typedef {ReturnType<typeof createFormat>} Format */

/**
 * @param {Intl.NumberFormat} large
 * @param {number} a
 * @param {Intl.NumberFormat} small
 * @param {number} b
 */
function pair(large, a, small, b) {
  return b ? `${large.format(a)} ${small.format(b)}` : large.format(a);
}
