/** Reads the API's accounts into typed values. */

import { asBoolean, asLabel, asList, asMonth, asNumber, asObject, asPoints, asText, asTime, optional } from "./values.js";

/** @typedef {import("../types.js").Account} Account */
/** @typedef {import("../types.js").Activity} Activity */

/** @param {unknown} json @returns {Account} */
export function accountFrom(json) {
  const account = asObject(json);
  const unreadable = asList(account.needsAttention);
  /**
   * @template T
   * @param {string} field null both where the account has none and where it cannot be read
   * @param {(value: unknown) => T | null} read
   */
  const readOptional = (field, read) =>
    account[field] === null && unreadable.includes(field) ? undefined : optional(account[field], read);
  return {
    instagramId: asText(account.instagramId),
    username: optional(account.username, asLabel),
    isActive: asBoolean(account.isActive),
    createdAt: readOptional("createdAt", asTime),
    dmUsed: asNumber(account.dmUsed),
    dmReceived: asNumber(account.dmReceived),
    monthlyDmUsed: asNumber(account.monthlyDmUsed),
    monthlyDmLimit: readOptional("monthlyDmLimit", asNumber),
    currentMonth: asMonth(account.currentMonth),
    lastDMSent: readOptional("lastDMSent", asTime),
    lastDMReceived: readOptional("lastDMReceived", asTime),
    limitReachedAt: optional(account.limitReachedAt, asTime),
    hourlyUse: optional(account.hourlyUse, hourlyUse),
    states: Array.isArray(account.states) ? account.states.filter((state) => typeof state === "string") : null,
  };
}

/**
 * @param {unknown} json
 * @returns {import("../types.js").HourlyUse}
 */
function hourlyUse(json) {
  const { at, sent, before, limit, limitReachedAt } = asObject(json);
  return {
    at: asTime(at),
    sent: asNumber(sent),
    before: asNumber(before),
    limit: asNumber(limit),
    limitReachedAt: asTime(limitReachedAt),
  };
}

/**
 * @param {unknown} json
 * @returns {import("../types.js").AccountTotals | null}
 */
function accountTotals(json) {
  if (typeof json !== "object" || json === null) return null;
  const { at, accounts, monthlyDmUsed, dmUsed, dmReceived } = asObject(json);
  return {
    at: asTime(at),
    accounts: asNumber(accounts),
    monthlyDmUsed: asNumber(monthlyDmUsed),
    dmUsed: asNumber(dmUsed),
    dmReceived: asNumber(dmReceived),
  };
}

/**
 * @param {unknown} json
 * @returns {{deauthorizedAt: string | null, deletionAskedAt: string | null}} Meta's requests about an account
 */
export function marksFrom(json) {
  const account = asObject(json);
  return { deauthorizedAt: asTime(account.deauthorizedAt), deletionAskedAt: asTime(account.deletionAskedAt) };
}

/**
 * @param {unknown} json
 * @returns {{accounts: Account[], nextCursor: string | null, complete: boolean, totals: import("../types.js").AccountTotals | null}}
 */
export function accountsFrom(json) {
  const answer = asObject(json);
  return {
    accounts: asList(answer.accounts).map(accountFrom),
    nextCursor: asText(answer.nextCursor),
    complete: answer.complete !== false,
    totals: accountTotals(answer.totals),
  };
}

/** @param {unknown} json @returns {Activity} */
export function activityFrom(json) {
  const activity = asObject(json);
  return {
    at: asTime(activity.at),
    hours: asPoints(activity.hours),
    days: asPoints(activity.days),
    hourlyDmLimit: optional(activity.hourlyDmLimit, asNumber),
  };
}
