/** Collects updates: the first is drawn at once, and the newest of the following ones after the wait. */

/** @typedef {import("./types.js").Timers} Timers */

/**
 * The wait starts with the first update that is held back and later ones do not stretch it, so a
 * steady flow is still drawn once per wait.
 * @template T
 * @param {number} seconds
 * @param {(value: T) => void} draw
 * @param {Timers} timers
 */
export function createDebounce(seconds, draw, timers) {
  /** @type {{value: T} | null} */
  let held = null;
  /** @type {number | undefined} */
  let timer;
  let drawn = false;

  function flush() {
    timers.clearTimeout(timer);
    timer = undefined;
    if (!held) return;
    const { value } = held;
    held = null;
    drawn = true;
    draw(value);
  }

  return {
    /** @param {T} value */
    push(value) {
      held = { value };
      if (!drawn) flush();
      else timer ??= timers.setTimeout(flush, seconds * 1000);
    },

    /** Draw a waiting update now, at the reader's request. */
    flush,
  };
}
