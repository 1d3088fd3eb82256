/** What several tests share: timers that move when told to, and a snapshot. */

export function manualTimers() {
  let now = 0;
  let next = 1;
  const waiting = new Map();
  return {
    setTimeout(callback, milliseconds) {
      waiting.set(next, { callback, due: now + milliseconds });
      return next++;
    },
    clearTimeout(id) {
      waiting.delete(id);
    },
    get count() {
      return waiting.size;
    },
    /** Let time pass; promises settle between any two timers. */
    async advance(seconds) {
      const end = now + seconds * 1000;
      for (;;) {
        await settle();
        const due = [...waiting].filter(([, timer]) => timer.due <= end).sort(([, a], [, b]) => a.due - b.due)[0];
        if (!due) break;
        waiting.delete(due[0]);
        now = Math.max(now, due[1].due);
        due[1].callback();
      }
      now = end;
      await settle();
    },
  };
}

export async function settle() {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
}

export function bucketsEnding(end, step, count) {
  const last = Date.parse(end);
  return Array.from({ length: count }, (_, i) => ({
    at: new Date(last - (count - 1 - i) * step).toISOString(),
    sent: i + 1,
    received: i,
  }));
}

export function snapshotOf(version, over = {}) {
  return {
    version,
    computedAt: "2026-11-15T12:34:56.000Z",
    ageSeconds: 0,
    stale: false,
    source: "worker",
    totalDMsSent: 1234567,
    totalDMsReceived: 765432,
    totalUsers: 7,
    totalAccounts: 42,
    activeAccounts: 40,
    month: { month: "2026-11", sent: 4000, received: 3000 },
    today: { sent: 120, received: 80 },
    lastHour: { sent: 60, received: 40 },
    perMinute: 1.66,
    peakMinute: { at: "2026-11-15T12:10:00Z", sent: 9 },
    events: { reaction: 5, seen: 20, edit: 0 },
    duplicates: 3,
    rejected: 0,
    series: {
      minutes: bucketsEnding("2026-11-15T12:34:00Z", 60_000, 60),
      hours: bucketsEnding("2026-11-15T12:00:00Z", 3_600_000, 24),
      days: bucketsEnding("2026-11-15T00:00:00Z", 86_400_000, 30),
    },
    topAccounts: [],
    lastEventAt: "2026-11-15T12:34:50Z",
    audit: null,
    refresh: { computeMs: 4.1, dbQueries: 5 },
    ...over,
  };
}
