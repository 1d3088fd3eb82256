/** The refresh button: asks, and says when it may ask again. */

/** @typedef {import("./format.js").Format} Format */

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
    // aria-disabled, not disabled: the focus stays where the reader's hand is.
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
    try {
      const response = await ask(url, {
        method: "POST",
        credentials: "same-origin",
        headers: { Accept: "application/json" },
      });
      if (response.ok) {
        onRefreshed();
        say("Refreshed", 1.5);
      } else if (response.status === 429) countDown(Math.ceil(Number(response.headers.get("Retry-After")) || 1));
      else {
        if (response.status === 401) onExpired();
        say("Not now", 3);
      }
    } catch {
      // No answer at all: the badge tells why.
      say("No answer", 3);
    }
    delete button.dataset.busy;
  });
}
