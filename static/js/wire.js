/**
 * Reads the server's JSON into typed values. All other modules rely on these types, so a value of a wrong
 * type is shown as unknown in its own place and affects nothing else.
 *
 * For a value that may be absent, null means "none" and undefined means "unknown".
 */

/** @typedef {import("./types.js").Account} Account */
/** @typedef {import("./types.js").Activity} Activity */
/** @typedef {import("./types.js").Admin} Admin */
/** @typedef {import("./types.js").ApiToken} ApiToken */
/** @typedef {import("./types.js").SharedLink} SharedLink */
/** @typedef {import("./types.js").Passkey} Passkey */
/** @typedef {import("./types.js").Canary} Canary */
/** @typedef {import("./types.js").Heartbeat} Heartbeat */
/** @typedef {import("./types.js").Pair} Pair */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Delivery} Delivery */
/** @typedef {import("./types.js").EventName} EventName */
/** @typedef {import("./types.js").Incident} Incident */
/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {import("./types.js").Span} Span */
/** @typedef {import("./types.js").Traffic} Traffic */

const MOST = 2 ** 53;
const MOMENT = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$/;
const MONTH = /^\d{4}-(0[1-9]|1[0-2])$/;
const VERSION = /^\d{1,15}-\d{1,15}$/;
const LONGEST = 256;
/** Control characters, and bidi marks, which change the direction of the text after them. */
// eslint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/g;

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>} its fields; none if it is no object
 */
export function fields(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? /** @type {Record<string, unknown>} */ (value)
    : {};
}

/**
 * @param {unknown} value
 * @returns {unknown[]}
 */
function list(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {unknown} value
 * @returns {number | null} null: no number, or one that is too large to be exact
 */
export function number(value) {
  return typeof value === "number" && Math.abs(value) <= MOST ? value : null;
}

/**
 * @param {unknown} value
 * @returns {string | null} an RFC 3339 time that exists
 */
export function moment(value) {
  return typeof value === "string" && MOMENT.test(value) && Number.isFinite(Date.parse(value)) ? value : null;
}

/**
 * @param {unknown} value
 * @returns {string | null} text fit to be shown: without control characters and bidi marks, and cut at
 * 256 characters
 */
export function shown(value) {
  if (typeof value !== "string") return null;
  const seen = value.slice(0, 4 * LONGEST).replace(UNSEEN, "").trim();
  return seen.length > LONGEST ? `${seen.slice(0, LONGEST)}…` : seen;
}

/**
 * @template T
 * @param {unknown} value
 * @param {(value: unknown) => T | null} read
 * @returns {T | null | undefined} null: there is none; undefined: unknown
 */
function optional(value, read) {
  return value === null || value === undefined ? null : (read(value) ?? undefined);
}

/** @param {unknown} value @returns {string | null} */
function text(value) {
  return typeof value === "string" ? value : null;
}

/** @param {unknown} value @returns {boolean | null} */
function flag(value) {
  return typeof value === "boolean" ? value : null;
}

/** @param {unknown} value @returns {string | null} */
function month(value) {
  return typeof value === "string" && MONTH.test(value) ? value : null;
}

/** @param {unknown} json @returns {Account} */
export function accountFrom(json) {
  const account = fields(json);
  const unreadable = list(account.needsAttention);
  /**
   * @template T
   * @param {string} field null both where the account has none and where it cannot be read
   * @param {(value: unknown) => T | null} read
   */
  const perhaps = (field, read) =>
    account[field] === null && unreadable.includes(field) ? undefined : optional(account[field], read);
  return {
    instagramId: text(account.instagramId),
    username: optional(account.username, shown),
    isActive: flag(account.isActive),
    createdAt: perhaps("createdAt", moment),
    dmUsed: number(account.dmUsed),
    dmReceived: number(account.dmReceived),
    monthlyDmUsed: number(account.monthlyDmUsed),
    monthlyDmLimit: perhaps("monthlyDmLimit", number),
    currentMonth: month(account.currentMonth),
    lastDMSent: perhaps("lastDMSent", moment),
    lastDMReceived: perhaps("lastDMReceived", moment),
    limitReachedAt: optional(account.limitReachedAt, moment),
    states: Array.isArray(account.states) ? account.states.filter((state) => typeof state === "string") : null,
  };
}

/**
 * @param {unknown} json
 * @returns {import("./types.js").AccountTotals | null}
 */
function accountTotals(json) {
  if (typeof json !== "object" || json === null) return null;
  const { at, accounts, monthlyDmUsed, dmUsed, dmReceived } = fields(json);
  return {
    at: moment(at),
    accounts: number(accounts),
    monthlyDmUsed: number(monthlyDmUsed),
    dmUsed: number(dmUsed),
    dmReceived: number(dmReceived),
  };
}

/**
 * @param {unknown} json
 * @returns {{deauthorizedAt: string | null, deletionAskedAt: string | null}} what Meta told about an account
 */
export function marksFrom(json) {
  const account = fields(json);
  return { deauthorizedAt: moment(account.deauthorizedAt), deletionAskedAt: moment(account.deletionAskedAt) };
}

/**
 * @param {unknown} json
 * @returns {{accounts: Account[], nextCursor: string | null, complete: boolean, totals: import("./types.js").AccountTotals | null}}
 */
export function accountsFrom(json) {
  const answer = fields(json);
  return {
    accounts: list(answer.accounts).map(accountFrom),
    nextCursor: text(answer.nextCursor),
    complete: answer.complete !== false,
    totals: accountTotals(answer.totals),
  };
}

/**
 * @param {unknown} json
 * @returns {Point[]} those whose time is known, oldest first
 */
function points(json) {
  return list(json)
    .map((each) => {
      const { at, sent, received } = fields(each);
      return { at: moment(at), sent: number(sent), received: number(received) };
    })
    .filter(/** @returns {each is Point} */ (each) => each.at !== null)
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

/** @param {unknown} json @returns {Activity} */
export function activityFrom(json) {
  const activity = fields(json);
  return {
    at: moment(activity.at),
    hours: points(activity.hours),
    days: points(activity.days),
    hourlyDmLimit: optional(activity.hourlyDmLimit, number),
  };
}

/** @param {unknown} json @returns {Traffic} */
export function trafficFrom(json) {
  const traffic = fields(json);
  return {
    failingSince: moment(traffic.failingSince),
    disabledAt: moment(traffic.disabledAt),
    silentSince: moment(traffic.silentSince),
    silence: shown(traffic.silence),
  };
}

/** @param {unknown} json @returns {Heartbeat} */
export function heartbeatFrom(json) {
  const beat = fields(json);
  return { at: moment(beat.at), live: beat.live === true, version: text(beat.version) ?? "" };
}

/**
 * @param {unknown} json
 * @returns {[string, number | null][]}
 */
function numbers(json) {
  return Object.entries(fields(json)).map(([name, n]) => [shown(name) ?? "", number(n)]);
}

/** @param {unknown} json @returns {Delivery} */
function deliveryFrom(json) {
  const delivery = fields(json);
  return {
    group: text(delivery.group) ?? "",
    at: moment(delivery.at),
    status: number(delivery.status),
    reason: shown(delivery.reason),
    bytes: number(delivery.bytes),
    entries: number(delivery.entries),
    kinds: numbers(delivery.kinds),
    counts: numbers(delivery.counts),
    ms: number(delivery.ms),
    requestId: shown(delivery.requestId) ?? "",
    rejected: list(delivery.rejected).map((each) => {
      const { path, kind, account } = fields(each);
      return { path: shown(path) ?? "", kind: shown(kind) ?? "", account: shown(account) };
    }),
  };
}

/**
 * @param {unknown} json
 * @returns {{deliveries: Delivery[], names: EventName[]}}
 */
export function deliveriesFrom(json) {
  const answer = fields(json);
  return {
    deliveries: list(answer.deliveries).map(deliveryFrom),
    names: list(answer.names).map((each) => {
      const name = fields(each);
      return {
        name: shown(name.name) || "unnamed",
        counted: name.counted === true,
        firstAt: moment(name.firstAt),
        lastAt: moment(name.lastAt),
        keys: list(name.keys).map((key) => shown(key) ?? ""),
      };
    }),
  };
}

/** @param {unknown} json @returns {Incident} */
export function incidentFrom(json) {
  const incident = fields(json);
  const runbook = fields(incident.runbook);
  return {
    id: text(incident.id) ?? "",
    name: shown(incident.name) ?? "",
    title: shown(incident.title) || "Incident",
    text: shown(incident.text) ?? "",
    beganAt: moment(incident.beganAt),
    endedAt: optional(incident.endedAt, moment),
    alerts: list(incident.alerts).map((each) => {
      const alert = fields(each);
      return {
        channel: shown(alert.channel) || "unknown",
        state: alert.state === "over" ? "over" : "open",
        toldAt: moment(alert.toldAt),
        nextAt: moment(alert.nextAt),
        attempts: number(alert.attempts) ?? 0,
        problem: shown(alert.problem),
      };
    }),
    steps: list(runbook.steps).map((step) => text(step) ?? ""),
    section: shown(runbook.section) ?? "",
  };
}

/**
 * @param {unknown} json
 * @returns {{since: string | null, incidents: Incident[], complete: boolean, channels: string[]}}
 */
export function incidentsFrom(json) {
  const answer = fields(json);
  return {
    since: moment(answer.since),
    incidents: list(answer.incidents).map(incidentFrom),
    complete: answer.complete !== false,
    channels: list(answer.channels).map((name) => shown(name) || "unknown"),
  };
}

/**
 * @param {unknown} json
 * @returns {{channel: string, told: boolean, problem: string | null}[]}
 */
export function testedFrom(json) {
  return list(fields(json).channels).map((each) => {
    const { channel, told, problem } = fields(each);
    return { channel: shown(channel) || "unknown", told: told === true, problem: shown(problem) };
  });
}

/**
 * @param {unknown} json
 * @returns {{admins: Admin[], you: string}}
 */
export function adminsFrom(json) {
  const answer = fields(json);
  const admins = list(answer.admins).map((each) => {
    const admin = fields(each);
    return {
      id: text(admin.id) ?? "",
      email: shown(admin.email) || "unknown",
      role: shown(admin.role),
      disabled: admin.disabled === true,
      invited: admin.invited === true,
      secondFactor: admin.secondFactor === true,
      createdAt: moment(admin.createdAt),
    };
  });
  return { admins, you: text(answer.you) ?? "" };
}

/**
 * @param {unknown} json
 * @returns {ApiToken[]}
 */
export function tokensFrom(json) {
  return list(fields(json).tokens).map((each) => {
    const token = fields(each);
    return {
      id: text(token.id) ?? "",
      name: shown(token.name) || "unknown",
      scopes: list(token.scopes).map((scope) => shown(scope) ?? ""),
      madeBy: shown(token.madeBy) || "unknown",
      endsAt: moment(token.endsAt),
      usedAt: moment(token.usedAt),
      usedFrom: shown(token.usedFrom),
    };
  });
}

/**
 * @param {unknown} json
 * @returns {{name: string, secret: string}}
 */
export function newTokenFrom(json) {
  const { token, secret } = fields(json);
  return { name: shown(fields(token).name) ?? "", secret: text(secret) ?? "" };
}

/**
 * @param {unknown} json
 * @returns {SharedLink[]}
 */
export function linksFrom(json) {
  return list(fields(json).links).map((each) => {
    const link = fields(each);
    return {
      id: text(link.id) ?? "",
      label: shown(link.label) || "unknown",
      parts: list(link.parts).map((part) => shown(part) ?? ""),
      madeBy: shown(link.madeBy) || "unknown",
      endsAt: moment(link.endsAt),
    };
  });
}

/**
 * @param {unknown} json
 * @returns {{label: string, address: string}}
 */
export function newLinkFrom(json) {
  const { link, address } = fields(json);
  return { label: shown(fields(link).label) ?? "", address: text(address) ?? "" };
}

/**
 * @param {unknown} json
 * @returns {{secret: string, image: string}} `image` is a data: address, or empty
 */
export function offerFrom(json) {
  const { secret, image } = fields(json);
  const drawn = text(image) ?? "";
  return { secret: text(secret) ?? "", image: drawn.startsWith("data:image/svg+xml") ? drawn : "" };
}

/**
 * @param {unknown} json
 * @returns {string[]}
 */
export function recoveryCodesFrom(json) {
  return list(fields(json).recoveryCodes).map((code) => shown(code) ?? "");
}

/**
 * @param {unknown} json
 * @returns {Passkey[]}
 */
export function passkeysFrom(json) {
  return list(fields(json).passkeys).map((each) => {
    const passkey = fields(each);
    return {
      id: text(passkey.id) ?? "",
      name: shown(passkey.name) || "unnamed",
      createdAt: moment(passkey.createdAt),
      usedAt: moment(passkey.usedAt),
    };
  });
}

/**
 * @param {unknown} json
 * @returns {unknown} what the browser makes a passkey by
 */
export function creationFrom(json) {
  return fields(json).options;
}

/**
 * A link for choosing a password; `link` is null if it was mailed, `problem` says why it was not.
 * @param {unknown} json
 * @returns {{email: string, link: string | null, endsAt: string | null, problem: string | null}}
 */
export function handoutFrom(json) {
  const { admin, link, endsAt, problem } = fields(json);
  return {
    email: shown(fields(admin).email) || "unknown",
    link: text(link),
    endsAt: moment(endsAt),
    problem: text(problem),
  };
}

/** @param {unknown} json @returns {Pair} */
function pair(json) {
  const { sent, received } = fields(json);
  return { sent: number(sent), received: number(received) };
}

/** @param {unknown} json @returns {Span} */
function span(json) {
  const { before } = fields(json);
  return { ...pair(json), before: typeof before === "object" && before !== null ? pair(before) : null };
}

/** @param {unknown} json @returns {Canary | null} */
function canary(json) {
  const { at, countedMs, streamedMs, shownMs } = fields(json);
  const sent = moment(at);
  if (!sent) return null;
  return { at: sent, countedMs: number(countedMs), streamedMs: number(streamedMs), shownMs: number(shownMs) };
}

/**
 * @param {unknown} json
 * @returns {{at: string, drift: number | null} | null}
 */
function audit(json) {
  const at = moment(fields(json).at);
  return at ? { at, drift: number(fields(json).drift) } : null;
}

/**
 * @param {unknown} json
 * @returns {{at: string, activeAccounts: number | null, users: number | null}[]}
 */
function population(json) {
  return list(json)
    .map((each) => {
      const { at, activeAccounts, users } = fields(each);
      return { at: moment(at) ?? "", activeAccounts: number(activeAccounts), users: number(users) };
    })
    .filter((day) => day.at);
}

/**
 * @param {unknown} json
 * @returns {{at: string, counts: Record<string, number | null>} | null}
 */
function accountStates(json) {
  const at = moment(fields(json).at);
  return at ? { at, counts: Object.fromEntries(numbers(fields(json).counts)) } : null;
}

/**
 * @param {unknown} json
 * @returns {Snapshot | null} null: no snapshot at all, without a version and a time
 */
export function snapshotFrom(json) {
  const all = fields(json);
  const version = text(all.version);
  const computedAt = moment(all.computedAt);
  if (!version || !VERSION.test(version) || !computedAt) return null;
  const series = fields(all.series);
  const { computeMs, dbQueries } = fields(all.refresh);
  return {
    version,
    computedAt,
    ageSeconds: number(all.ageSeconds) ?? 0,
    source: shown(all.source) ?? "",
    totalDMsSent: number(all.totalDMsSent),
    totalDMsReceived: number(all.totalDMsReceived),
    totalUsers: number(all.totalUsers),
    totalAccounts: number(all.totalAccounts),
    activeAccounts: number(all.activeAccounts),
    month: { ...span(all.month), month: month(fields(all.month).month) },
    today: span(all.today),
    lastHour: span(all.lastHour),
    perMinute: number(all.perMinute),
    perMinuteBefore: number(all.perMinuteBefore),
    events: Object.entries(fields(all.events)).map(([kind, n]) => ({ kind: shown(kind) ?? "", n: number(n) })),
    duplicates: number(all.duplicates),
    rejected: number(all.rejected),
    late: number(all.late),
    series: { minutes: points(series.minutes), hours: points(series.hours), days: points(series.days) },
    topAccounts: list(all.topAccounts).map(accountFrom),
    population: population(all.population),
    since: optional(all.since, moment),
    lastEventAt: optional(all.lastEventAt, moment),
    audit: audit(all.audit),
    canary: canary(all.canary),
    accountStates: accountStates(all.accountStates),
    refresh: { computeMs: number(computeMs), dbQueries: number(dbQueries) },
  };
}
