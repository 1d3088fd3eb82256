/** A snapshot as the texts of the page's tiles; pure. */

import { pointsOf, totalsOf } from "./series.js";

/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {import("./types.js").Span} Span */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./format.js").Format} Format */
/**
 * @typedef {{text: string, exact?: string, title?: string, tone?: "good" | "warn" | "quiet"}} Figure
 * `exact` is what a shortened `text` stands for: on hover, and for screen readers
 */

const DAY_MS = 86_400_000;
/** No percentage is shown for a smaller base: a single message would change it too much. */
export const MIN_BASE = 20;
/** The same as a rate over five minutes. */
const SMALL_RATE = MIN_BASE / 5;
/** No percentage is shown for changes by this factor or more either. */
const MANY_TIMES = 10;

/**
 * @param {number | null} n
 * @param {Format} format
 * @returns {Figure} short where it would be long
 */
export function counted(n, format) {
  if (n === null) return { text: format.count(n), title: "Unknown" };
  const text = format.brief(n);
  const exact = format.count(n);
  return text === exact ? { text } : { text, exact, title: exact };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Record<string, Figure>} by the name in the page's `data-figure`
 */
export function figuresOf(snapshot, format) {
  const { today, month, lastHour } = snapshot;
  const others = snapshot.events.reduce((sum, { n }) => sum + (n ?? 0), 0);
  const rate = counted(snapshot.perMinute, format);
  return {
    "now.rate": {
      ...rate,
      text: rate.exact ? rate.text : format.rate(snapshot.perMinute),
      title: rate.title ?? "Sent and received: the average of the last five full minutes",
    },
    "now.peak": peak(snapshot, format),
    "now.hour": {
      text: `${format.brief(lastHour.sent)} sent, ${format.brief(lastHour.received)} received`,
      title: `${format.count(lastHour.sent)} sent, ${format.count(lastHour.received)} received`,
    },
    "now.change": rateChange(snapshot, format),
    "today.sent": counted(today.sent, format),
    "today.received": counted(today.received, format),
    "today.since": since(snapshot, format),
    "today.change": today.before ? change(today, "by this time yesterday", format) : yesterday(snapshot, format),
    "today.got": got(today, "by this time yesterday", format),
    "month.sent": counted(month.sent, format),
    "month.received": counted(month.received, format),
    "month.name": { text: format.month(month.month), title: `Months begin at 00:00 ${format.dayZone} on the 1st` },
    "month.change": month.before ? change(month, "by this time last month", format) : daily(snapshot, format),
    "month.got": got(month, "by this time last month", format),
    "total.sent": counted(snapshot.totalDMsSent, format),
    "total.received": counted(snapshot.totalDMsReceived, format),
    ...growthOf(snapshot, format),
    ...peopleOf(snapshot, format),
    "accounts.active": counted(snapshot.activeAccounts, format),
    "accounts.total": counted(snapshot.totalAccounts, format),
    users: counted(snapshot.totalUsers, format),
    duplicates: counted(snapshot.duplicates, format),
    rejected: { ...counted(snapshot.rejected, format), tone: snapshot.rejected ? "warn" : undefined },
    late: counted(snapshot.late, format),
    others: counted(others, format),
    cost: {
      text: `Computed in ${format.rate(snapshot.refresh.computeMs)} ms with ${format.count(snapshot.refresh.dbQueries)} queries`,
      title: `Version ${snapshot.version}, from ${snapshot.source}`,
    },
  };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Figure} when the figures' day began, which may have been another day for the reader
 */
function since({ computedAt, series }, format) {
  const began = series.days.at(-1)?.at;
  const title = `Days begin at 00:00 ${format.dayZone}`;
  if (!began) return { text: "", title };
  const when = format.sameDay(began, computedAt) ? "" : "yesterday ";
  return { text: `since ${when}${format.time(began)}`, title };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Figure} the busiest minute of the last hour, in the unit of the rate above it
 */
function peak(snapshot, format) {
  let best = 0;
  let at = "";
  // With the current minute: it only grows, so if it exceeds the others now, it is the busiest.
  for (const point of pointsOf(snapshot, "hour")) {
    const n = (point.sent ?? 0) + (point.received ?? 0);
    if (n > best) [best, at] = [n, point.at];
  }
  if (!best) return { text: "None in the last hour" };
  return {
    text: `Peak ${format.brief(best)} at ${format.time(at)}`,
    title: `${format.count(best)} sent and received in the busiest minute of the last hour, ${format.utc(at)}`,
  };
}

/**
 * @param {number} now
 * @param {number} before
 * @param {number} small the smallest base of which a percentage is shown
 * @param {Format} format
 * @returns {string} the change as a percentage; empty where that would mislead
 */
export function percent(now, before, small, format) {
  if (before < small || now === 0 || now / before >= MANY_TIMES) return "";
  return format.change(now / before - 1);
}

/**
 * @param {Span} span
 * @param {string} by
 * @param {Format} format
 * @returns {Figure} the change of `sent` against the same part of the span before
 */
function change({ sent, before }, by, format) {
  const earlier = before?.sent ?? null;
  if (sent === null || earlier === null) return { text: "" };
  const title = `${format.count(earlier)} sent ${by}`;
  if (!earlier) return { text: sent ? `None ${by}` : "", title, tone: "quiet" };
  if (sent === earlier) return { text: `Same as ${by.replace("by this time ", "")} by this time`, title, tone: "quiet" };
  const text = percent(sent, earlier, MIN_BASE, format);
  if (!text) return { text: `${format.brief(earlier)} ${by}`, title, tone: "quiet" };
  if (text === "0%") return { text: `About the same as ${by.replace("by this time ", "")}`, title, tone: "quiet" };
  return { text: `${text} vs ${by.replace("by ", "")}`, title, tone: sent < earlier ? "quiet" : "good" };
}

/**
 * @param {Span} span
 * @param {string} by
 * @param {Format} format
 * @returns {Figure} the change of `received`, short: it stands beside the figure
 */
function got({ received, before }, by, format) {
  const earlier = before?.received ?? null;
  if (received === null || !earlier) return { text: "" };
  const title = `${format.count(earlier)} received ${by}`;
  return { text: percent(received, earlier, MIN_BASE, format), title, tone: received <= earlier ? "quiet" : "good" };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Figure} the rate's change against the same minutes yesterday
 */
function rateChange({ perMinute, perMinuteBefore: before }, format) {
  // Below, it would be shown as 0.
  if (!before || before < 0.05 || perMinute === null) return { text: "" };
  const title = `${format.rate(before)} per minute at this time yesterday`;
  const text = percent(perMinute, before, SMALL_RATE, format);
  if (!text) return { text: `${format.rate(before)} at this time yesterday`, title, tone: "quiet" };
  if (text === "0%") return { text: "Same as yesterday at this time", title, tone: "quiet" };
  return { text: `${text} vs this time yesterday`, title, tone: perMinute < before ? "quiet" : "good" };
}

/**
 * @param {Snapshot} snapshot
 * @returns {number} when counting began, milliseconds since the epoch; 0 if that is unknown or long ago
 */
function beganAt(snapshot) {
  return snapshot.since ? Date.parse(snapshot.since) : 0;
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Record<string, Figure>} how the totals grew in the days that are shown
 */
function growthOf(snapshot, format) {
  const { series, totalDMsSent: sent, totalDMsReceived: received } = snapshot;
  const grown = totalsOf(series.days);
  const first = series.days[0];
  const began = beganAt(snapshot);
  const young = first !== undefined && began > Date.parse(first.at);
  const days = young ? `since ${format.date(new Date(began).toISOString())}` : `in ${format.count(series.days.length)} days`;
  const title = `${format.count(grown.sent)} sent, ${format.count(grown.received)} received ${days}`;
  if (sent === null || received === null) return { "total.growth": { text: "" }, "total.got": { text: "" } };
  if (young && grown.sent >= sent) return { "total.growth": { text: `Counting ${days}`, title }, "total.got": { text: "" } };
  const before = { sent: sent - grown.sent, received: received - grown.received };
  /** @param {"sent" | "received"} key */
  const ratio = (key) => (before[key] >= grown[key] ? percent(before[key] + grown[key], before[key], MIN_BASE, format) : "");
  const text = ratio("sent");
  if (!text) return { "total.growth": { text: `${format.brief(grown.sent)} sent ${days}`, title }, "total.got": { text: "" } };
  return {
    "total.growth": { text: `${text} ${days}`, title, tone: grown.sent ? "good" : "quiet" },
    "total.got": { text: ratio("received"), title, tone: grown.received ? "good" : "quiet" },
  };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Record<string, Figure>} how many more there are than a month ago, or since it is known
 */
function peopleOf({ population, activeAccounts, totalAccounts, totalUsers, computedAt }, format) {
  const first = population[0];
  const known = first && first.at.slice(0, 10) < computedAt.slice(0, 10) ? first : null;
  const from = known ? `since ${format.day(known.at)}` : "";
  /**
   * @param {number | null} now
   * @param {number | null | undefined} before
   * @param {string} unit
   * @returns {Figure}
   */
  function more(now, before, unit) {
    if (now === null || before === null || before === undefined) return { text: "" };
    if (now === before) return { text: unit && `Unchanged ${from}`, title: from, tone: "quiet" };
    return { text: `${format.difference(now - before)}${unit}`, title: from, tone: now > before ? "good" : "quiet" };
  }
  const idle = activeAccounts === null || totalAccounts === null ? 0 : totalAccounts - activeAccounts;
  return {
    "accounts.change": known
      ? more(activeAccounts, known.activeAccounts, ` active ${from}`)
      : { text: idle > 0 ? `${format.brief(idle)} inactive` : "All active", tone: "quiet" },
    "users.change": known ? more(totalUsers, known.users, "") : { text: "" },
  };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Figure} all of yesterday, as far as it was counted
 */
function yesterday(snapshot, format) {
  const { days } = snapshot.series;
  const [day, today] = days.slice(-2);
  const began = beganAt(snapshot);
  if (!day || !today || began >= Date.parse(today.at)) {
    return began ? { text: `Counting since ${format.time(new Date(began).toISOString())}` } : { text: "" };
  }
  if (day.sent === null) return { text: "" };
  const part = began > Date.parse(day.at) ? ` from ${format.time(new Date(began).toISOString())}` : "";
  return { text: `${format.brief(day.sent)} sent yesterday${part}`, title: `${format.count(day.sent)} sent` };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Figure} the mean of the days that were counted this month; nothing before one has passed
 */
function daily(snapshot, format) {
  const { month, computedAt } = snapshot;
  const start = Math.max(Date.parse(`${month.month}-01T00:00:00Z`), beganAt(snapshot));
  const days = (Date.parse(computedAt) - start) / DAY_MS;
  if (month.sent === null || !(days >= 1)) return { text: "" };
  return { text: `${format.brief(Math.round(month.sent / days))} sent a day on average` };
}

/**
 * @param {Snapshot} snapshot
 * @returns {boolean} whether nothing was ever counted
 */
export function isEmpty(snapshot) {
  return snapshot.lastEventAt === null && snapshot.totalDMsSent === 0 && snapshot.totalDMsReceived === 0;
}
