/** Announces changes of the connection state to screen readers. */

/** @typedef {import("./types.js").Timers} Timers */

const SETTLE_MS = 1500;

/**
 * A state that passes within a moment (a tab that comes back, a quick reconnect) is not worth an
 * interruption.
 * @param {Element} line the element with role=status
 * @param {Timers} timers
 * @returns {(text: string) => void}
 */
export function createAnnouncer(line, timers) {
  /** @type {number | undefined} */
  let timer;
  let next = "";
  return (text) => {
    if (text === next) return;
    next = text;
    timers.clearTimeout(timer);
    timer = timers.setTimeout(() => {
      if (line.textContent !== next) line.textContent = next;
    }, SETTLE_MS);
  };
}
