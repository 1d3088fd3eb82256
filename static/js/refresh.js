/** The refresh button: requests a refresh, and shows when the next one is allowed. */

import { deadline } from "./deadline.js";

/** @typedef {import("./format.js").Format} Format */

/** A refresh may wait for a database that is slow. */
const TIMEOUT_MS = 20_000;

/**
 * @param {object} options
 * @param {HTMLButtonElement} options.button
 * @param {HTMLElement} options.label the button's words
 * @param {string} options.url
 * @param {typeof fetch} options.ask
 * @param {Format} options.format
 * @param {() => void} options.onRefreshed
 * @param {() => void} options.onExpired
 */
export function wireRefresh({ button, label, url, ask, format, onRefreshed, onExpired }) {
  const words = label.textContent ?? "";

  /** @param {boolean} busy */
  function rest(busy) {
    // aria-disabled, not disabled: the focus stays on the button.
    button.setAttribute("aria-disabled", String(busy));
  }

  /**
   * @param {string} text
   * @param {number} seconds
   */
  function say(text, seconds) {
    label.textContent = text;
    setTimeout(() => {
      label.textContent = words;
      rest(false);
    }, seconds * 1000);
  }

  /** @param {number} seconds */
  function countDown(seconds) {
    if (seconds <= 0) {
      label.textContent = words;
      rest(false);
      return;
    }
    label.textContent = `Again in ${format.duration(seconds)}`;
    setTimeout(countDown, 1000, seconds - 1);
  }

  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    rest(true);
    button.dataset.busy = "";
    const limit = deadline(TIMEOUT_MS);
    try {
      const response = await ask(url, {
        method: "POST",
        credentials: "same-origin",
        redirect: "manual",
        headers: { Accept: "application/json" },
        signal: limit.signal,
      });
      if (response.ok) {
        onRefreshed();
        say("Refreshed", 1.5);
      } else if (response.status === 429) countDown(Math.ceil(Number(response.headers.get("Retry-After")) || 1));
      else {
        if (response.status === 401) onExpired();
        say("Refresh failed", 3);
      }
    } catch {
      // No answer: the badge shows why.
      say("No answer", 3);
    } finally {
      limit.end();
    }
    delete button.dataset.busy;
  });
}
