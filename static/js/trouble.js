/** The notice above the figures about failing or missing deliveries. */

import { deadline } from "./deadline.js";
import { trafficFrom } from "./wire/snapshot.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Traffic} Traffic */

const TIMEOUT_MS = 10_000;

/**
 * @param {Traffic | null} traffic
 * @param {number} now the server's time, milliseconds since the epoch
 * @param {Format} format
 * @returns {{level: "bad" | "warn", text: string, announcement: string} | null} null: nothing to say
 */
export function warningOf(traffic, now, format) {
  if (traffic?.failingSince && traffic.disabledAt) {
    const failing = `No delivery was acknowledged for ${format.duration((now - Date.parse(traffic.failingSince)) / 1000)}.`;
    const left = (Date.parse(traffic.disabledAt) - now) / 1000;
    const text =
      left > 0
        ? `${failing} Meta may disable the webhook in ${format.countdown(left)}, at ${format.time(traffic.disabledAt)}.`
        : `${failing} Meta may have disabled the webhook: check the Meta app, and subscribe again.`;
    return { level: "bad", text, announcement: "Deliveries are failing. Meta may disable the webhook." };
  }
  if (traffic?.silence) {
    return { level: "warn", text: `${traffic.silence} Is the webhook still subscribed?`, announcement: traffic.silence };
  }
  return null;
}

/**
 * @param {object} options
 * @param {HTMLElement} options.place
 * @param {string} options.url
 * @param {number} options.every seconds
 * @param {typeof fetch} options.ask
 * @param {() => number} options.now the server's time
 * @param {Format} options.format
 * @param {(words: string) => void} options.announce
 */
export function watchTraffic({ place, url, every, ask, now, format, announce }) {
  /** @type {Traffic | null} */
  let traffic = null;
  let due = 0;
  let last = "";

  async function look() {
    const limit = deadline(TIMEOUT_MS);
    try {
      const response = await ask(url, {
        headers: { Accept: "application/json" },
        credentials: "same-origin",
        redirect: "manual",
        signal: limit.signal,
      });
      if (response.ok) traffic = trafficFrom(await response.json());
    } catch {
      // The badge shows that the service does not answer; the last notice stays.
    } finally {
      limit.end();
    }
    draw();
  }

  function draw() {
    const notice = warningOf(traffic, now(), format);
    place.hidden = notice === null;
    if (notice) place.dataset.level = notice.level;
    if (place.textContent !== (notice?.text ?? "")) place.textContent = notice?.text ?? "";
    const words = notice?.announcement ?? "";
    if (words !== last) announce(words || "Deliveries are working again.");
    last = words;
  }

  return {
    /**
     * Call once a second: updates the countdown, and reloads when due.
     * @param {boolean} awake whether the page may ask
     */
    tick(awake) {
      if (awake && Date.now() >= due) {
        due = Date.now() + every * 1000;
        void look();
      }
      draw();
    },
  };
}
