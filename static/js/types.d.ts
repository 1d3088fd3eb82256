// The shapes that travel between the modules; nothing of this file reaches the browser.

export interface Pair {
  sent: number | null;
  received: number | null;
}

/** A running span, and (where the server knows it) the same part of the span before. */
export interface Span extends Pair {
  before: Pair | null;
}

/** A bucket of the series; null where nothing is known. */
export interface Point extends Pair {
  at: string;
  /** It is still filling, or the range cuts it. */
  partial?: boolean;
}

export type Unit = "minute" | "hour" | "day" | "week" | "month";

/** What the chart and its table show. */
export interface Picture {
  title: string;
  /** What the title says on hover. */
  about: string;
  unit: Unit;
  points: Point[];
  /** Whether the last point is still filling. */
  isRunning: boolean;
  /** Its projection; null if it is full or has just begun. */
  pace: Pair | null;
  comparison: Compared | null;
  /** Where it ends; null if it has not ended. */
  to: string | null;
  /** The expected range of each point; null if not requested. */
  expected: { points: (Expected | null)[]; words: string } | null;
}

/** From `low` to `high` is usual. */
export interface Usual {
  low: number;
  high: number;
  outside: "above" | "below" | null;
}

export interface Expected {
  sent: Usual;
  received: Usual;
}

/** Something that happened at a time; `author` and `changedBy` are empty unless a person wrote or changed it. */
export interface Annotation {
  id: string;
  kind: "note" | "version" | "incident" | "repair";
  at: string;
  text: string;
  author: string;
  changedBy: string;
}

/** The earlier points; `points` stand beside those of the picture. */
export interface Compared {
  points: (Point | null)[];
  unmatched: Point[];
  /** The difference in words. */
  words: string;
}

/** The API's history, read. */
export interface History {
  from: string;
  to: string;
  isOpen: boolean;
  unit: Unit;
  points: Point[];
  totals: Pair;
  comparison: { from: string; to: string; points: (Point | null)[]; unmatched: Point[]; totals: Pair } | null;
  band: (Expected | null)[] | null;
  since: string | null;
  computedAt: string;
}

export interface Charted {
  series: { minutes: Point[]; hours: Point[]; days: Point[] };
  since?: string | null;
  computedAt: string;
}

/** What an account did up to the moment ``at`` at which the last audit counted it. */
export interface Activity {
  at: string | null;
  hours: Point[];
  days: Point[];
  hourlyDmLimit: number | null | undefined;
}

/** For optional values, null means that there is none, undefined that it is unknown. */
export interface Account {
  instagramId: string | null;
  username: string | null | undefined;
  isActive: boolean | null;
  createdAt: string | null | undefined;
  dmUsed: number | null;
  dmReceived: number | null;
  monthlyDmUsed: number | null;
  monthlyDmLimit: number | null | undefined;
  currentMonth: string | null;
  lastDMSent: string | null | undefined;
  lastDMReceived: string | null | undefined;
  /** When it will reach its limit at its current rate; null if it will not. */
  limitReachedAt: string | null | undefined;
  /** Of the running hour; null if it has no limit, and in lists. */
  hourlyUse?: HourlyUse | null;
  /** Null: not known yet. */
  states: string[] | null;
}

/** DMs of the hour that began `at`, and of the one `before`. */
export interface HourlyUse {
  at: string | null;
  sent: number | null;
  before: number | null;
  limit: number | null;
  limitReachedAt: string | null;
}

/** Of all accounts of a list, as of `at`. */
export interface AccountTotals {
  at: string | null;
  accounts: number | null;
  monthlyDmUsed: number | null;
  dmUsed: number | null;
  dmReceived: number | null;
}

export interface Admin {
  id: string;
  email: string;
  role: string | null;
  disabled: boolean;
  invited: boolean;
  secondFactor: boolean;
  refused: boolean;
  /** Why and when the last sign-in through the provider was refused. */
  refusal: { reason: string, at: string | null } | null;
  createdAt: string | null;
}

/** A channel's notification of the beginning or the end of an incident. */
export interface Alert {
  channel: string;
  state: "open" | "over";
  toldAt: string | null;
  nextAt: string | null;
  attempts: number;
  problem: string | null;
}

/** Where alerts go. `id` is null for one of the settings, `address` null if it cannot be read, `incidents` null for all. */
export interface AlertChannel {
  id: string | null;
  name: string;
  address: string | null;
  incidents: string[] | null;
  quietFrom: string;
  quietTo: string;
}

export interface AlertRule {
  id: string;
  figure: string;
  sense: "above" | "below" | "outside";
  threshold: number | null;
  minutes: number;
  since: string | null;
}

/** `endedAt`: null while it lasts, undefined if it cannot be read. `steps` are those of the runbook. */
export interface Incident {
  id: string;
  name: string;
  title: string;
  text: string;
  beganAt: string | null;
  endedAt: string | null | undefined;
  alerts: Alert[];
  steps: string[];
  section: string;
}

/** A delivery that was refused or partly rejected, or a sample of successful ones. */
export interface Delivery {
  group: string;
  at: string | null;
  status: number | null;
  reason: string | null;
  bytes: number | null;
  entries: number | null;
  kinds: [string, number | null][];
  counts: [string, number | null][];
  ms: number | null;
  requestId: string;
  rejected: { path: string; kind: string; account: string | null }[];
}

/** The name of an unknown event. */
export interface EventName {
  name: string;
  counted: boolean;
  firstAt: string | null;
  lastAt: string | null;
  keys: string[];
}

export interface ApiToken {
  id: string;
  name: string;
  scopes: string[];
  madeBy: string;
  endsAt: string | null;
  usedAt: string | null;
  usedFrom: string | null;
}

export interface SharedLink {
  id: string;
  label: string;
  parts: string[];
  madeBy: string;
  endsAt: string | null;
}

export interface Passkey {
  id: string;
  name: string;
  createdAt: string | null;
  usedAt: string | null;
}

export interface Heartbeat {
  at: string | null;
  live: boolean;
  version: string;
}

/** A snapshot as `wire.js` reads it: null is unknown. */
export interface Snapshot {
  version: string;
  computedAt: string;
  ageSeconds: number;
  source: string;
  totalDMsSent: number | null;
  totalDMsReceived: number | null;
  totalUsers: number | null;
  totalAccounts: number | null;
  activeAccounts: number | null;
  month: Span & { month: string | null };
  today: Span;
  lastHour: Span;
  perMinute: number | null;
  perMinuteBefore: number | null;
  events: { kind: string; n: number | null }[];
  duplicates: number | null;
  rejected: number | null;
  late: number | null;
  series: { minutes: Point[]; hours: Point[]; days: Point[] };
  topAccounts: Account[];
  population: { at: string; activeAccounts: number | null; users: number | null }[];
  since: string | null | undefined;
  lastEventAt: string | null | undefined;
  audit: { at: string; drift: number | null } | null;
  canary: Canary | null;
  /** How many accounts are in each state; null: not known yet. */
  accountStates: { at: string; counts: Record<string, number | null> } | null;
  refresh: { computeMs: number | null; dbQueries: number | null };
}

/** The state of deliveries; all null while they arrive and are acknowledged. */
export interface Traffic {
  failingSince: string | null;
  disabledAt: string | null;
  silentSince: string | null;
  silence: string | null;
}

/** When the newest test event was sent, and how long the last one took that came back. */
export interface Canary {
  at: string;
  countedMs: number | null;
  streamedMs: number | null;
  shownMs: number | null;
}

/** The server's settings for the page: seconds, addresses. */
export interface PageSettings {
  debounce: number;
  poll: number;
  refresh: number;
  heartbeat: number;
  timeZone: string;
  statsUrl: string;
  streamUrl: string;
  refreshUrl: string;
  trafficUrl: string;
  historyUrl: string;
}

/** The series of a snapshot: an hour by minute, a day by hour, a month by day. */
export type Range = "hour" | "day" | "month";

export type RangeName =
  | "hour"
  | "today"
  | "yesterday"
  | "24h"
  | "7d"
  | "30d"
  | "90d"
  | "month"
  | "last-month"
  | "12m"
  | "all"
  | "custom";

/** Dates are empty except for a custom range; the unit is empty for the usual one. */
export interface View {
  range: RangeName;
  from: string;
  to: string;
  unit: Unit | "";
  compare: "none" | "previous" | "weekdays" | "year" | "expected";
}

export type Mode =
  | "connecting"
  | "live"
  | "reconnecting"
  | "polling"
  | "stale"
  | "offline"
  | "paused"
  | "expired";

/** The state of the connection to the server. */
export interface Facts {
  online: boolean;
  visible: boolean;
  paused: boolean;
  expired: boolean;
  stream: "closed" | "opening" | "open";
  refused: boolean;
  serverLive: boolean;
  everOpen: boolean;
  poll: "none" | PollResult;
}

export type ConnectionEvent =
  | { type: "online" | "offline" | "visible" | "hidden" | "pause" | "resume" | "expired" }
  | { type: "stream-opening" | "stream-open" | "stream-closed" }
  | { type: "stream-lost"; refused: boolean }
  | { type: "heartbeat"; live: boolean }
  | { type: "poll"; result: PollResult };

/** `redirected`: a proxy in front of the service answered, which wants a sign-in of its own. */
export type PollResult = "ok" | "unreachable" | "error" | "redirected";

/** The timers a module needs, so that tests can bring their own. */
export interface Timers {
  setTimeout(callback: () => void, milliseconds: number): number;
  clearTimeout(id: number | undefined): void;
}
