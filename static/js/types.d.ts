// The shapes that travel between the modules; nothing of this file reaches the browser.

export interface Pair {
  sent: number;
  received: number;
}

/** A running span, and (where the server knows it) the same part of the span before. */
export interface Span extends Pair {
  before?: Pair | null;
}

export interface Bucket {
  at: string;
  sent: number;
  received: number;
}

/** A bucket, or with nulls a gap. */
export interface Point {
  at: string;
  sent: number | null;
  received: number | null;
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
  hourlyDmLimit: number | null;
}

export interface Account {
  instagramId: string;
  username?: string | null;
  dmUsed: number;
  monthlyDmUsed: number;
  monthlyDmLimit?: number | null;
  lastDMSent?: string | null;
  isActive?: boolean;
}

export interface Snapshot {
  version: string;
  computedAt: string;
  ageSeconds: number;
  stale: boolean;
  source: "worker" | "redis" | "store" | "computed";
  totalDMsSent: number;
  totalDMsReceived: number;
  totalUsers: number;
  totalAccounts: number;
  activeAccounts: number;
  month: Span & { month: string };
  today: Span;
  lastHour: Span;
  perMinute: number;
  perMinuteBefore?: number | null;
  peakMinute: { at: string; sent: number } | null;
  events: Record<string, number>;
  duplicates: number;
  rejected: number;
  late?: number;
  series: { minutes: Bucket[]; hours: Bucket[]; days: Bucket[] };
  topAccounts: Account[];
  population?: { at: string; activeAccounts: number; users: number }[];
  since?: string | null;
  lastEventAt: string | null;
  audit: { at: string; drift: number } | null;
  canary?: Canary | null;
  refresh: { computeMs: number; dbQueries: number };
}

/** What the server sees of the deliveries; all null while they come and are acknowledged. */
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

/** What the server tells the page: seconds, addresses. */
export interface PageSettings {
  debounce: number;
  poll: number;
  refresh: number;
  heartbeat: number;
  statsUrl: string;
  streamUrl: string;
  refreshUrl: string;
  trafficUrl: string;
}

export type Range = "hour" | "day" | "month";
export type Sort = "month" | "total" | "recent" | "name";

export interface View {
  range: Range;
  sort: Sort;
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

/** All that is known about the way to the server. */
export interface Facts {
  online: boolean;
  visible: boolean;
  paused: boolean;
  expired: boolean;
  stream: "closed" | "opening" | "open";
  refused: boolean;
  serverLive: boolean;
  everOpen: boolean;
  poll: "none" | "ok" | "unreachable" | "error";
}

export type ConnectionEvent =
  | { type: "online" | "offline" | "visible" | "hidden" | "pause" | "resume" | "expired" }
  | { type: "stream-opening" | "stream-open" | "stream-closed" }
  | { type: "stream-lost"; refused: boolean }
  | { type: "heartbeat"; live: boolean }
  | { type: "poll"; result: "ok" | "unreachable" | "error" };

/** The timers a module needs, so that tests can bring their own. */
export interface Timers {
  setTimeout(callback: () => void, milliseconds: number): number;
  clearTimeout(id: number | undefined): void;
}
