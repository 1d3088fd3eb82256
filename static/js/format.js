/**
 * Numbers and times in the page's language, English, with the reader's time zone and 12 or 24 hours.
 * The reader's own locale would mix two languages, digits and calendars in one page.
 */

/** @typedef {import("./types.js").Unit} Unit */

const LANGUAGE = "en-u-ca-gregory-nu-latn";
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
/** Numbers from here up are shortened. */
const LONG = 10_000_000;
const UNITS = [
  { size: 1e12, name: "T" },
  { size: 1e9, name: "B" },
  { size: 1e6, name: "M" },
];
const UNKNOWN = "–";
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** @returns {"h12" | "h23"} whether the reader counts twelve or twenty-four hours */
function readersHours() {
  const { hour12 } = new Intl.DateTimeFormat(undefined, { hour: "numeric" }).resolvedOptions();
  return hour12 ? "h12" : "h23";
}

/**
 * @param {"h12" | "h23"} hourCycle
 * @param {string | undefined} timeZone of times; undefined: the reader's own
 * @param {string} dayZone the time zone of the figures' days
 */
export function createFormat(hourCycle = readersHours(), timeZone = undefined, dayZone = "UTC") {
  const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });
  const tenth = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 1 });
  const short = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumFractionDigits: 1 });
  const share = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 0 });
  const change = new Intl.NumberFormat(LANGUAGE, {
    style: "percent",
    maximumFractionDigits: 0,
    signDisplay: "exceptZero",
  });
  const difference = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0, signDisplay: "exceptZero" });
  const clock = dateFormat({ hour: "2-digit", minute: "2-digit" });
  const dayClock = dateFormat({ weekday: "short", hour: "2-digit", minute: "2-digit" });
  const dateClock = dateFormat({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const date = dateFormat({ day: "numeric", month: "short", year: "numeric" });
  const full = dateFormat({
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  // In the reader's zone, the figures' days would carry the wrong name.
  const day = dateFormat({ day: "numeric", month: "short" }, dayZone);
  const weekday = dateFormat({ weekday: "short", day: "numeric", month: "short" }, dayZone);
  const yearDay = dateFormat({ weekday: "short", day: "numeric", month: "short", year: "numeric" }, dayZone);
  const figuresDate = dateFormat({ day: "numeric", month: "short", year: "numeric" }, dayZone);
  const iso = new Intl.DateTimeFormat("sv", { year: "numeric", month: "2-digit", day: "2-digit", timeZone: dayZone });
  const weekHour = dateFormat({ weekday: "short", hour: "2-digit" }, dayZone, "h23");
  const readersDay = dateFormat({ day: "numeric", month: "short" });
  const figuresMonth = dateFormat({ month: "short", year: "numeric" }, dayZone);
  const month = dateFormat({ month: "short", year: "numeric" }, "UTC");
  const calendarDay = dateFormat({ day: "2-digit", month: "2-digit", year: "numeric" });

  /**
   * @param {Intl.DateTimeFormatOptions} options
   * @param {string | undefined} zone
   * @param {"h12" | "h23"} hours
   */
  function dateFormat(options, zone = timeZone, hours = hourCycle) {
    const cycle = options.hour ? { hourCycle: hours } : {};
    return new Intl.DateTimeFormat(LANGUAGE, { ...options, ...cycle, timeZone: zone });
  }

  /**
   * @param {number} seconds
   * @returns {string} in its one or two largest units: "42s", "3m 5s", "2h 10m", "4d"
   */
  function duration(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    if (s < MINUTE) return `${s}s`;
    if (s < 10 * MINUTE) return pair(Math.floor(s / MINUTE), "m", s % MINUTE, "s");
    if (s < HOUR) return `${Math.floor(s / MINUTE)}m`;
    if (s < DAY) return pair(Math.floor(s / HOUR), "h", Math.floor((s % HOUR) / MINUTE), "m");
    return `${whole.format(Math.floor(s / DAY))}d`;
  }

  /** @param {number | null} n */
  const count = (n) => (n === null ? UNKNOWN : minus(whole.format(n)));

  /**
   * @param {number | null} n
   * @returns {string} exact below ten million, else four digits and a unit; truncated, so that it
   * never exceeds the count
   */
  function brief(n) {
    if (n === null || Math.abs(n) < LONG) return count(n);
    const unit = UNITS.find(({ size }) => Math.abs(n) >= size) ?? { size: 1e6, name: "M" };
    const places = Math.max(0, 4 - String(Math.floor(Math.abs(n) / unit.size)).length);
    const cut = Math.trunc(n / (unit.size / 10 ** places)) / 10 ** places;
    return minus(`${cut.toFixed(places)}${unit.name}`);
  }

  return {
    dayZone,
    /** @param {number | null} n exact, "–" for unknown */
    count,
    brief,
    /** @param {number | null} n */
    rate: (n) => (n !== null && Math.abs(n) < 10 ? minus(tenth.format(n)) : count(n)),
    /**
     * @param {number} n
     * @param {number} highest of the axis: all its numbers have one form
     */
    compact: (n, highest) => minus((highest < 10_000 ? whole : short).format(n)),
    /** @param {number} n from 0 to 1 */
    share: (n) => minus(share.format(n)),
    /** @param {number} n 0.08 is eight per cent more */
    change: (n) => minus(change.format(n)),
    /** @param {number} n 3 is three more */
    difference: (n) => (Math.abs(n) < LONG ? minus(difference.format(n)) : `${n > 0 ? "+" : ""}${brief(n)}`),
    duration,
    /** @param {number} seconds in minutes and seconds, so that it visibly runs */
    countdown: (seconds) => pair(Math.floor(seconds / MINUTE), "m", Math.floor(seconds % MINUTE), "s"),
    /** @param {string} at */
    time: (at) => clock.format(new Date(at)),
    /** @param {string} at */
    moment: (at) => full.format(new Date(at)),
    /** @param {string} at */
    date: (at) => date.format(new Date(at)),
    /** @param {string} at */
    day: (at) => day.format(new Date(at)),
    /**
     * @param {string} at
     * @returns {{weekday: number, hour: number}} in the figures' zone; weekday 0 is Monday
     */
    hourOfWeek(at) {
      const parts = weekHour.formatToParts(new Date(at));
      /** @param {string} type */
      const named = (type) => parts.find((part) => part.type === type)?.value ?? "";
      return { weekday: WEEKDAYS.indexOf(named("weekday")), hour: Number(named("hour")) };
    },
    /**
     * @param {string} at
     * @returns {string} the figures' day, as "2026-11-30"
     */
    isoDate: (at) => iso.format(new Date(at)),
    /** @param {string | null} name "2026-11" */
    month: (name) => (name === null ? UNKNOWN : month.format(new Date(`${name}-01T00:00:00Z`))),
    /**
     * @param {string} a
     * @param {string} b
     * @returns {boolean} whether both are on one day of the reader's
     */
    sameDay: (a, b) => calendarDay.format(new Date(a)) === calendarDay.format(new Date(b)),
    /**
     * @param {string} at
     * @returns {string} to the second, for a hover
     */
    utc: (at) => `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`,
    /**
     * @param {Unit} unit
     * @param {string} at the bucket's start
     * @param {boolean} [far] whether the hour needs its date, or the day its year
     * @returns {string} the bucket's name
     */
    bucket(unit, at, far = false) {
      const start = new Date(at);
      if (unit === "minute") return (far ? dateClock : clock).format(start);
      if (unit === "hour") return (far ? dateClock : dayClock).format(start);
      if (unit === "day") return (far ? yearDay : weekday).format(start);
      return unit === "week" ? `Week of ${figuresDate.format(start)}` : figuresMonth.format(start);
    },
    /**
     * @param {Unit} unit
     * @param {string} at
     * @param {boolean} long whether the whole axis has several days (of minutes and hours) or years
     * @returns {string} short, for an axis; midnight is named by the day that begins
     */
    tick(unit, at, long) {
      const start = new Date(at);
      if (unit === "minute" || unit === "hour") {
        const begins = readersDay.format(start) !== readersDay.format(start.getTime() - 1);
        return (long || begins ? readersDay : clock).format(start);
      }
      return (unit === "month" || long ? figuresMonth : day).format(start);
    },
    /**
     * @param {string} from
     * @param {string} to the end, which is no longer part of it
     * @returns {string} the dates, as "1 Nov 2026 to 7 Nov 2026"
     */
    dates(from, to) {
      const [first, last] = [new Date(from), new Date(Date.parse(to) - 1)].map((at) => figuresDate.format(at));
      return first === last ? String(first) : `${first} to ${last}`;
    },
  };
}

/** @typedef {ReturnType<typeof createFormat>} Format */

/**
 * @param {string} text a number
 * @returns {string} with a minus sign (U+2212) in place of the hyphen
 */
function minus(text) {
  return text.replace("-", "\u2212");
}

/**
 * @param {number} a
 * @param {string} large
 * @param {number} b
 * @param {string} small
 */
function pair(a, large, b, small) {
  return b ? `${a}${large} ${b}${small}` : `${a}${large}`;
}
