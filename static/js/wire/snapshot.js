/** Reads the snapshot and the messages of the event stream into typed values. */

import { accountFrom } from "./accounts.js";
import { asCounts, asLabel, asList, asMonth, asNumber, asObject, asPair, asPoints, asText, asTime, optional } from "./values.js";

/** @typedef {import("../types.js").Canary} Canary */
/** @typedef {import("../types.js").Heartbeat} Heartbeat */
/** @typedef {import("../types.js").Snapshot} Snapshot */
/** @typedef {import("../types.js").Span} Span */
/** @typedef {import("../types.js").Traffic} Traffic */

const VERSION = /^\d{1,15}-\d{1,15}$/;

/** @param {unknown} json @returns {Traffic} */
export function trafficFrom(json) {
  const traffic = asObject(json);
  return {
    failingSince: asTime(traffic.failingSince),
    disabledAt: asTime(traffic.disabledAt),
    silentSince: asTime(traffic.silentSince),
    silence: asLabel(traffic.silence),
  };
}

/** @param {unknown} json @returns {Heartbeat} */
export function heartbeatFrom(json) {
  const beat = asObject(json);
  return { at: asTime(beat.at), live: beat.live === true, version: asText(beat.version) ?? "" };
}

/** @param {unknown} json @returns {Span} */
function span(json) {
  const { before } = asObject(json);
  return { ...asPair(json), before: typeof before === "object" && before !== null ? asPair(before) : null };
}

/** @param {unknown} json @returns {Canary | null} */
function canary(json) {
  const { at, countedMs, streamedMs, shownMs } = asObject(json);
  const sent = asTime(at);
  if (!sent) return null;
  return { at: sent, countedMs: asNumber(countedMs), streamedMs: asNumber(streamedMs), shownMs: asNumber(shownMs) };
}

/**
 * @param {unknown} json
 * @returns {{at: string, drift: number | null} | null}
 */
function audit(json) {
  const at = asTime(asObject(json).at);
  return at ? { at, drift: asNumber(asObject(json).drift) } : null;
}

/**
 * @param {unknown} json
 * @returns {{at: string, activeAccounts: number | null, users: number | null}[]}
 */
function population(json) {
  return asList(json)
    .map((each) => {
      const { at, activeAccounts, users } = asObject(each);
      return { at: asTime(at) ?? "", activeAccounts: asNumber(activeAccounts), users: asNumber(users) };
    })
    .filter((day) => day.at);
}

/**
 * @param {unknown} json
 * @returns {{at: string, counts: Record<string, number | null>} | null}
 */
function accountStates(json) {
  const at = asTime(asObject(json).at);
  return at ? { at, counts: Object.fromEntries(asCounts(asObject(json).counts)) } : null;
}

/**
 * @param {unknown} json
 * @returns {Snapshot | null} null: no snapshot at all, without a version and a time
 */
export function snapshotFrom(json) {
  const all = asObject(json);
  const version = asText(all.version);
  const computedAt = asTime(all.computedAt);
  if (!version || !VERSION.test(version) || !computedAt) return null;
  const series = asObject(all.series);
  const { computeMs, dbQueries } = asObject(all.refresh);
  return {
    version,
    computedAt,
    ageSeconds: asNumber(all.ageSeconds) ?? 0,
    source: asLabel(all.source) ?? "",
    totalDMsSent: asNumber(all.totalDMsSent),
    totalDMsReceived: asNumber(all.totalDMsReceived),
    totalUsers: asNumber(all.totalUsers),
    totalAccounts: asNumber(all.totalAccounts),
    activeAccounts: asNumber(all.activeAccounts),
    month: { ...span(all.month), month: asMonth(asObject(all.month).month) },
    today: span(all.today),
    lastHour: span(all.lastHour),
    perMinute: asNumber(all.perMinute),
    perMinuteBefore: asNumber(all.perMinuteBefore),
    events: Object.entries(asObject(all.events)).map(([kind, n]) => ({ kind: asLabel(kind) ?? "", n: asNumber(n) })),
    duplicates: asNumber(all.duplicates),
    rejected: asNumber(all.rejected),
    late: asNumber(all.late),
    series: { minutes: asPoints(series.minutes), hours: asPoints(series.hours), days: asPoints(series.days) },
    topAccounts: asList(all.topAccounts).map(accountFrom),
    population: population(all.population),
    since: optional(all.since, asTime),
    lastEventAt: optional(all.lastEventAt, asTime),
    audit: audit(all.audit),
    canary: canary(all.canary),
    accountStates: accountStates(all.accountStates),
    refresh: { computeMs: asNumber(computeMs), dbQueries: asNumber(dbQueries) },
  };
}
