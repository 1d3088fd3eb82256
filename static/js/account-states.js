/** The states of accounts in words; pure. */

import { base } from "./base.js";
import { shareText } from "./accounts.js";

const HOUR_MS = 3_600_000;

/** @typedef {import("./types.js").Account} Account */
/** @typedef {import("./format.js").Format} Format */

/**
 * `label` is for one account, `many` follows a number of them. `sort` is the order in which those are listed
 * that matter most.
 * @type {Record<string, {label: string, many: string, tone: "bad" | "warn" | "", sort: string}>}
 */
export const STATES = {
  "over-limit": { label: "Over monthly limit", many: "over their monthly limit", tone: "bad", sort: "-limitUsed" },
  "near-limit": { label: "Near monthly limit", many: "near their monthly limit", tone: "warn", sort: "-limitUsed" },
  "over-hour-limit": { label: "Over hourly limit", many: "over their hourly limit", tone: "bad", sort: "-lastDMSent" },
  "near-hour-limit": { label: "Near hourly limit", many: "near their hourly limit", tone: "warn", sort: "-lastDMSent" },
  silent: { label: "Silent", many: "silent", tone: "bad", sort: "lastDMSent" },
  surging: { label: "Unusually active", many: "unusually active", tone: "warn", sort: "-monthlyDmUsed" },
  "inactive-sending": { label: "Inactive but sending", many: "inactive but sending", tone: "warn", sort: "-lastDMSent" },
  "needs-attention": { label: "Needs attention", many: "in need of attention", tone: "warn", sort: "-dmUsed" },
  new: { label: "New", many: "new", tone: "", sort: "-createdAt" },
};

/**
 * @param {string[] | null} states
 * @returns {{state: string, label: string, tone: string}[]} the known states
 */
export function knownStates(states) {
  return (states ?? []).flatMap((state) => {
    const known = Object.hasOwn(STATES, state) ? STATES[state] : undefined;
    return known ? [{ state, label: known.label, tone: known.tone }] : [];
  });
}

/**
 * @param {string} state
 * @returns {string} the address of the list of accounts in that state
 */
export function listOf(state) {
  const sort = STATES[state]?.sort ?? "";
  return `${base}/accounts?${new URLSearchParams({ sort, state })}`;
}

/**
 * @param {{counts: Record<string, number | null>} | null} states
 * @param {Format} format
 * @returns {{state: string, text: string, tone: string}[]} the states that accounts are in, worst first
 */
export function countsOf(states, format) {
  return Object.entries(STATES).flatMap(([state, { many, tone }]) => {
    const n = states?.counts[state];
    return n ? [{ state, text: `${format.count(n)} ${many}`, tone }] : [];
  });
}

/**
 * @param {Account} account
 * @param {Format} format
 * @param {(at: string) => number} ageOf seconds
 * @returns {{state: string, text: string, tone: string}[]} a sentence about each of its states
 */
export function sentencesOf(account, format, ageOf) {
  return knownStates(account.states).map(({ state, label, tone }) => ({
    state,
    text: `${label}: ${about(state, account, format, ageOf)}`,
    tone,
  }));
}

/**
 * @param {string} state
 * @param {Account} account
 * @param {Format} format
 * @param {(at: string) => number} ageOf
 */
function about(state, account, format, ageOf) {
  switch (state) {
    case "over-limit":
      return "this month's limit is used up.";
    case "near-limit": {
      const reached = account.limitReachedAt;
      const when = reached ? ` At this month's rate it is reached on ${format.moment(reached)}.` : "";
      return `${shareText(account, format)} of this month's limit is used.${when}`;
    }
    case "over-hour-limit":
    case "near-hour-limit":
      return aboutHour(account.hourlyUse, format);
    case "silent": {
      const last = account.lastDMSent;
      return last
        ? `nothing sent for ${format.duration(ageOf(last))}, much longer than its usual pause.`
        : "it is sending nothing.";
    }
    case "surging":
      return "it has sent more than three times as much in 24 hours as on a busy day.";
    case "inactive-sending":
      return "it is marked as inactive, but still sends.";
    case "needs-attention":
      return "its document has values that cannot be read, or its counters cannot be updated.";
    default:
      return account.createdAt ? `since ${format.date(account.createdAt)}.` : "for less than a week.";
  }
}

/**
 * @param {Account["hourlyUse"]} use of the running hour
 * @param {Format} format
 */
function aboutHour(use, format) {
  if (!use?.at || use.sent === null || use.limit === null) return "in this hour or the one before.";
  const begun = Date.parse(use.at);
  const before = `${format.time(new Date(begun - HOUR_MS).toISOString())} to ${format.time(use.at)}`;
  const when = use.limitReachedAt ? ` At this rate this hour reaches it at ${format.time(use.limitReachedAt)}.` : "";
  const sent =
    use.before === null
      ? `${format.count(use.sent)} since ${format.time(use.at)}`
      : `${format.count(use.before)} sent from ${before}, ${format.count(use.sent)} since`;
  return `${sent}; the limit is ${format.count(use.limit)} an hour.${when}`;
}
