/** Keeps the figures coming: opens the stream (stream.js) and polls (poll.js) as connection.js decides. */

import { retryDelay } from "./backoff.js";
import { initialFacts, step, desiredConnections } from "./connection.js";
import { createPoll } from "./poll.js";
import { openStream } from "./stream.js";
import { compareVersions } from "./version.js";

/** @typedef {import("./types.js").Facts} Facts */
/** @typedef {import("./types.js").ConnectionEvent} ConnectionEvent */
/** @typedef {import("./types.js").PageSettings} PageSettings */
/** @typedef {import("./types.js").Timers} Timers */

const FIRST_POLL_SECONDS = 1;
const REOPEN_SECONDS = 0.5;

/**
 * @param {object} options
 * @param {PageSettings} options.settings
 * @param {{online: boolean, visible: boolean}} options.page
 * @param {() => string} options.version the newest version on the page
 * @param {(url: string) => EventSource} options.connect
 * @param {typeof fetch} options.ask
 * @param {Timers} options.timers
 * @param {() => number} options.random
 * @param {(snapshot: unknown) => boolean} options.onSnapshot takes JSON of any shape; false if it is none
 * @param {(at: string) => void} options.onServerTime
 * @param {(facts: Facts) => void} options.onFacts
 */
export function createFeed({
  settings,
  page,
  version,
  connect,
  ask,
  timers,
  random,
  onSnapshot,
  onServerTime,
  onFacts,
}) {
  let facts = initialFacts(page);
  let attempt = 0;
  let generation = 0;
  /** @type {{close: () => void} | null} */
  let stream = null;
  /** @type {number | undefined} */
  let streamTimer;
  /** @type {number | undefined} */
  let pollTimer;
  let asking = false;
  const poll = createPoll(settings.statsUrl, ask);

  /** @param {ConnectionEvent} event */
  function tell(event) {
    facts = step(facts, event);
    const wanted = desiredConnections(facts);
    if (!wanted.stream) closeStream();
    else if (!stream && streamTimer === undefined) scheduleStream(facts.everOpen ? REOPEN_SECONDS * random() : 0);
    if (!wanted.poll) stopPolling();
    else if (!asking && (pollTimer === undefined || (facts.refused && facts.poll === "none"))) {
      // After a refusal the server is there and has an answer; else let the stream try first.
      schedulePoll(facts.refused ? 0 : FIRST_POLL_SECONDS * (1 + random()));
    }
    onFacts(facts);
  }

  function closeStream() {
    timers.clearTimeout(streamTimer);
    streamTimer = undefined;
    attempt = 0;
    if (!stream) return;
    stream.close();
    stream = null;
    facts = step(facts, { type: "stream-closed" });
  }

  /** @param {number} seconds */
  function scheduleStream(seconds) {
    timers.clearTimeout(streamTimer);
    streamTimer = timers.setTimeout(() => {
      streamTimer = undefined;
      if (!stream && desiredConnections(facts).stream) open();
    }, seconds * 1000);
  }

  function open() {
    stream = openStream({
      url: settings.streamUrl,
      lastVersion: version(),
      heartbeat: settings.heartbeat,
      connect,
      timers,
      on: {
        open() {
          attempt = 0;
          tell({ type: "stream-open" });
        },
        snapshot(json) {
          if (!onSnapshot(json)) void pollNow();
        },
        garbled: () => void pollNow(),
        heartbeat(beat) {
          if (beat.at) onServerTime(beat.at);
          tell({ type: "heartbeat", live: beat.live });
          // A refresh within the publish limit is not published, but the heartbeat contains its version.
          if (beat.version && compareVersions(beat.version, version()) > 0) void pollNow();
        },
        lost(refused) {
          stream = null;
          scheduleStream(retryDelay(refused, attempt, random()));
          attempt += 1;
          tell({ type: "stream-lost", refused });
        },
      },
    });
    tell({ type: "stream-opening" });
  }

  function stopPolling() {
    timers.clearTimeout(pollTimer);
    pollTimer = undefined;
  }

  /** @param {number} seconds */
  function schedulePoll(seconds) {
    timers.clearTimeout(pollTimer);
    pollTimer = timers.setTimeout(() => {
      pollTimer = undefined;
      void pollNow();
    }, seconds * 1000);
  }

  async function pollNow() {
    if (asking) return;
    asking = true;
    const mine = generation;
    const answer = await poll();
    asking = false;
    // The page was hidden or paused in the meantime: discard the answer.
    if (mine !== generation) return;
    const back = facts.poll === "unreachable" && answer.kind !== "unreachable";
    const usable = answer.kind !== "snapshot" || onSnapshot(answer.snapshot);
    if (desiredConnections(facts).poll) schedulePoll(settings.poll);
    if (answer.kind === "expired") tell({ type: "expired" });
    else if (!usable) tell({ type: "poll", result: "error" });
    else if (answer.kind === "snapshot" || answer.kind === "same") tell({ type: "poll", result: "ok" });
    else tell({ type: "poll", result: answer.kind });
    if (back && !stream && desiredConnections(facts).stream) {
      attempt = 0;
      scheduleStream(retryDelay(false, 0, random()));
    }
  }

  return {
    /** Begin. */
    start() {
      tell({ type: page.visible ? "visible" : "hidden" });
    },

    /** @param {ConnectionEvent} event what the page itself noticed */
    tell(event) {
      if (event.type === "hidden" || event.type === "pause") generation += 1;
      // A connection over the previous network may be dead without an error: open a new one.
      if (event.type === "online") closeStream();
      tell(event);
      if (event.type === "offline" && desiredConnections(facts).stream) void pollNow();
    },

    /** Request the newest figures now, whether or not the stream is open. */
    pollNow,
  };
}
