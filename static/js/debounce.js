/** Gathers updates: the first is drawn at once, of those that follow the newest, when the wait is over. */

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

    /** Draw what is held back now: the reader asked for it. */
    flush,
  };
}
