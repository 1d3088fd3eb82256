/** Shared by the overview, shared links and wall screens: settings, clock and live figures. */

import { createAge } from "./age.js";
import { createAnnouncer } from "./announce.js";
import { createDebounce } from "./debounce.js";
import { createFeed } from "./feed.js";
import { createFormat } from "./format.js";
import { byId } from "./page.js";
import { readSettings } from "./settings.js";
import { createState } from "./state.js";
import { snapshotFrom } from "./wire/snapshot.js";

/** @typedef {import("./types.js").Facts} Facts */
/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {import("./types.js").Timers} Timers */

/**
 * @param {object} options
 * @param {(snapshot: Snapshot) => void} options.draw is given each newer snapshot
 * @param {(facts: Facts) => void} options.onFacts
 */
export function createLive({ draw, onFacts }) {
  const settings = readSettings(document.body.dataset);
  const format = createFormat(undefined, undefined, settings.timeZone);
  const age = createAge(() => Date.now());
  const state = createState();
  /** @type {Timers} */
  const timers = {
    setTimeout: (callback, milliseconds) => window.setTimeout(callback, milliseconds),
    clearTimeout: (id) => window.clearTimeout(id),
  };
  const debounce = createDebounce(settings.debounce, draw, timers);
  const feed = createFeed({
    settings,
    page: { online: navigator.onLine, visible: !document.hidden },
    version: () => state.version,
    connect: (url) => new EventSource(url),
    ask: (...request) => fetch(...request),
    timers,
    random: Math.random,
    onSnapshot: takeIn,
    onServerTime: (at) => age.hear(Date.parse(at)),
    onFacts,
  });

  /**
   * @param {unknown} json
   * @returns {boolean} whether it is a snapshot
   */
  function takeIn(json) {
    const snapshot = snapshotFrom(json);
    if (!snapshot) return false;
    age.hear(Date.parse(snapshot.computedAt) + snapshot.ageSeconds * 1000);
    if (state.offer(snapshot)) debounce.push(snapshot);
    return true;
  }

  addEventListener("online", () => feed.tell({ type: "online" }));
  addEventListener("offline", () => feed.tell({ type: "offline" }));
  document.addEventListener("visibilitychange", () => feed.tell({ type: document.hidden ? "hidden" : "visible" }));
  // A page that comes back from the browser's own cache has lost its connections.
  addEventListener("pagehide", () => feed.tell({ type: "hidden" }));
  addEventListener("pageshow", (event) => {
    if (event.persisted) feed.tell({ type: "visible" });
  });

  return {
    settings,
    format,
    age,
    timers,
    announce: createAnnouncer(byId("announce"), timers),
    feed,

    /** Draw a snapshot that waits to be drawn. */
    flush: debounce.flush,

    /** Draw the snapshot contained in the page, and request newer ones. */
    start() {
      const brought = byId("first").textContent;
      if (brought) takeIn(JSON.parse(brought));
      feed.start();
    },
  };
}
