/** One Server-Sent-Events connection, from its opening until it is lost or closed. */

/** @typedef {import("./types.js").Timers} Timers */

import { heartbeatFrom } from "./wire/snapshot.js";

/** @typedef {import("./types.js").Heartbeat} Heartbeat */

const MISSED_HEARTBEATS = 2.5;

/**
 * Opens at once. The browser's own reconnecting is not used: it has no jitter, it stops for good
 * at any status but 200, and it cannot tell a silent connection from a dead one.
 * @param {object} options
 * @param {string} options.url
 * @param {string} options.lastVersion the version on the page; the server is silent if it is the newest
 * @param {number} options.heartbeat seconds between the server's heartbeats
 * @param {(url: string) => EventSource} options.connect
 * @param {Timers} options.timers
 * @param {object} options.on
 * @param {() => void} options.on.open called with the first event: the headers alone prove nothing, because some
 * proxies hold the body back
 * @param {(snapshot: unknown) => void} options.on.snapshot JSON of any shape
 * @param {() => void} options.on.garbled an event that is no JSON has come
 * @param {(heartbeat: Heartbeat) => void} options.on.heartbeat
 * @param {(refused: boolean) => void} options.on.lost called once, after which nothing else is
 * @returns {{close: () => void}}
 */
export function openStream({ url, lastVersion, heartbeat, connect, timers, on }) {
  const source = connect(lastVersion ? `${url}?last_event_id=${encodeURIComponent(lastVersion)}` : url);
  /** @type {number | undefined} */
  let watchdog;
  let spoken = false;

  function close() {
    timers.clearTimeout(watchdog);
    source.close();
  }

  /** @param {boolean} refused */
  function lose(refused) {
    close();
    on.lost(refused);
  }

  function alive() {
    timers.clearTimeout(watchdog);
    watchdog = timers.setTimeout(() => lose(false), MISSED_HEARTBEATS * heartbeat * 1000);
  }

  /**
   * @param {string} type
   * @param {(data: unknown) => void} take
   */
  function listen(type, take) {
    source.addEventListener(type, (event) => {
      alive();
      if (!spoken) on.open();
      spoken = true;
      /** @type {unknown} */
      let data;
      try {
        data = JSON.parse(/** @type {MessageEvent} */ (event).data);
      } catch {
        on.garbled();
        return;
      }
      take(data);
    });
  }

  listen("stats", on.snapshot);
  listen("heartbeat", (data) => on.heartbeat(heartbeatFrom(data)));
  source.addEventListener("error", () => {
    // The browser goes on trying after a broken connection; after an HTTP error it has given up.
    lose(source.readyState === source.CLOSED);
  });
  alive();
  return { close };
}
