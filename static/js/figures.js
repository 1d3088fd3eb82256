/** A snapshot as the texts of the page's tiles; pure. */

import { sums } from "./series.js";

/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {import("./types.js").Span} Span */
/** @typedef {import("./format.js").Format} Format */
/** @typedef {{text: string, title?: string, tone?: "good" | "warn" | "quiet"}} Figure */

const DAY_MS = 86_400_000;

/** @type {Record<string, string>} */
const EVENT_NAMES = {
  unsent: "Unsent",
  reaction: "Reactions",
  seen: "Seen",
  postback: "Postbacks",
  referral: "Referrals",
  edit: "Edits",
  unknown: "Unknown",
};

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Record<string, Figure>} by the name in the page's `data-figure`
 */
export function figuresOf(snapshot, format) {
  const { today, month, lastHour, peakMinute } = snapshot;
  const midnight = `${snapshot.computedAt.slice(0, 10)}T00:00:00Z`;
  const others = Object.values(snapshot.events).reduce((sum, n) => sum + n, 0);
  return {
    "now.rate": {
      text: format.rate(snapshot.perMinute),
      title: "Sent and received, the mean of the last five full minutes",
    },
    "now.peak": peakMinute
      ? {
          text: `Peak ${format.count(peakMinute.sent)} sent at ${format.time(peakMinute.at)}`,
          title: `The busiest minute of the last 24 hours, ${format.utc(peakMinute.at)}`,
        }
      : { text: "No peak yet" },
    "now.hour": { text: `${format.count(lastHour.sent)} sent, ${format.count(lastHour.received)} received` },
    "now.change": rateChange(snapshot, format),
    "today.sent": { text: format.count(today.sent) },
    "today.received": { text: format.count(today.received) },
    "today.since": { text: `since ${format.time(midnight)}`, title: "The day begins at 00:00 UTC" },
    "today.change": today.before ? change(today, "this time yesterday", format) : yesterday(snapshot, format),
    "today.got": got(today, "this time yesterday", format),
    "month.sent": { text: format.count(month.sent) },
    "month.received": { text: format.count(month.received) },
    "month.name": { text: format.month(month.month), title: "Months begin at 00:00 UTC on the 1st" },
    "month.change": month.before ? change(month, "this time last month", format) : daily(snapshot, format),
    "month.got": got(month, "this time last month", format),
    "total.sent": { text: format.count(snapshot.totalDMsSent) },
    "total.received": { text: format.count(snapshot.totalDMsReceived) },
    ...growthOf(snapshot, format),
    ...peopleOf(snapshot, format),
    "accounts.active": { text: format.count(snapshot.activeAccounts) },
    "accounts.total": { text: format.count(snapshot.totalAccounts) },
    users: { text: format.count(snapshot.totalUsers) },
    duplicates: { text: format.count(snapshot.duplicates) },
    rejected: { text: format.count(snapshot.rejected), tone: snapshot.rejected ? "warn" : undefined },
    late: { text: format.count(snapshot.late ?? 0) },
    others: { text: format.count(others) },
    cost: {
      text: `Computed in ${format.rate(snapshot.refresh.computeMs)} ms with ${format.count(snapshot.refresh.dbQueries)} queries`,
      title: `Version ${snapshot.version}, from ${snapshot.source}`,
    },
  };
}

/**
 * @param {Span} span
 * @param {string} against
 * @param {Format} format
 * @returns {Figure} the change of `sent` against the same part of the span before
 */
function change(span, against, format) {
  const before = span.before?.sent ?? 0;
  const title = `${format.count(before)} sent by ${against}`;
  if (!before) return { text: span.sent ? `None by ${against}` : "", title, tone: "quiet" };
  const ratio = span.sent / before - 1;
  return { text: `${format.change(ratio)} on ${against}`, title, tone: ratio < 0 ? "quiet" : "good" };
}

/**
 * @param {Span} span
 * @param {string} against
 * @param {Format} format
 * @returns {Figure} the change of `received`, short: it stands beside the figure
 */
function got(span, against, format) {
  const before = span.before?.received ?? 0;
  if (!before) return { text: "" };
  const ratio = span.received / before - 1;
  const title = `${format.count(before)} received by ${against}`;
  return { text: format.change(ratio), title, tone: ratio < 0 ? "quiet" : "good" };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Figure} the rate's change against the same minutes yesterday
 */
function rateChange({ perMinute, perMinuteBefore: before }, format) {
  if (!before) return { text: "" };
  const ratio = perMinute / before - 1;
  const title = `${format.rate(before)} per minute at this time yesterday`;
  return { text: `${format.change(ratio)} on yesterday`, title, tone: ratio < 0 ? "quiet" : "good" };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Record<string, Figure>} how the totals grew in the days that are shown
 */
function growthOf({ series, totalDMsSent, totalDMsReceived }, format) {
  const grown = sums(series.days);
  const days = `${format.count(series.days.length)} days`;
  const before = { sent: totalDMsSent - grown.sent, received: totalDMsReceived - grown.received };
  const title = `${format.count(grown.sent)} sent, ${format.count(grown.received)} received in ${days}`;
  // Of nearly nothing it would be thousands of per cent, and of nothing it is none.
  const told = before.sent > 0 && before.sent >= grown.sent && before.received >= grown.received;
  if (!told) return { "total.growth": { text: `${format.count(grown.sent)} sent in ${days}`, title }, "total.got": { text: "" } };
  /** @param {"sent" | "received"} key @returns {string} */
  const ratio = (key) => format.change(grown[key] / Math.max(1, before[key]));
  return {
    "total.growth": { text: `${ratio("sent")} in ${days}`, title, tone: grown.sent ? "good" : "quiet" },
    "total.got": { text: before.received ? ratio("received") : "", title, tone: grown.received ? "good" : "quiet" },
  };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Record<string, Figure>} how many more there are than a month ago, or since it is known
 */
function peopleOf({ population = [], activeAccounts, totalAccounts, totalUsers, computedAt }, format) {
  const first = population[0];
  const known = first && first.at.slice(0, 10) < computedAt.slice(0, 10) ? first : null;
  const since = known ? `since ${format.day(known.at)}` : "";
  /** @param {number} more */
  const tone = (more) => (more > 0 ? /** @type {const} */ ("good") : /** @type {const} */ ("quiet"));
  const accounts = known ? activeAccounts - known.activeAccounts : 0;
  const idle = totalAccounts - activeAccounts;
  const users = known ? totalUsers - known.users : 0;
  return {
    "accounts.change": { text: known ? `${format.difference(accounts)} active ${since}` : idle ? `${format.count(idle)} not active` : "", tone: tone(accounts) },
    "users.change": { text: known ? format.difference(users) : "", title: since, tone: tone(users) },
  };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Figure}
 */
function yesterday({ series }, format) {
  const day = series.days.at(-2);
  return { text: day ? `${format.count(day.sent)} sent yesterday in all` : "" };
}

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @returns {Figure} the mean of the month so far; nothing on its first day
 */
function daily({ month, computedAt }, format) {
  const days = (Date.parse(computedAt) - Date.parse(`${month.month}-01T00:00:00Z`)) / DAY_MS;
  return { text: days < 1 ? "" : `${format.count(month.sent / days)} sent a day` };
}

/**
 * @param {Record<string, number>} events
 * @param {Format} format
 * @returns {{name: string, text: string}[]} what else was counted, most first
 */
export function otherEvents(events, format) {
  return Object.entries(events)
    .filter(([, n]) => n > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, n]) => ({ name: EVENT_NAMES[kind] ?? kind, text: format.count(n) }));
}

/**
 * @param {Snapshot} snapshot
 * @returns {boolean} whether nothing was ever counted
 */
export function isEmpty(snapshot) {
  return !snapshot.lastEventAt && snapshot.totalDMsSent + snapshot.totalDMsReceived === 0;
}
