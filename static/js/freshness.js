/** The age of the figures on pages that load them themselves. */

/** @typedef {import("./format.js").Format} Format */

const STALE_SECONDS = 75;

/**
 * @param {HTMLElement} place
 * @param {HTMLElement} root gets `data-figures`, which the styles use to mark old figures
 * @param {Format} format
 * @param {() => number} now milliseconds
 */
export function createFreshness(place, root, format, now) {
  let loadedAt = 0;

  function tick() {
    if (!loadedAt) return;
    const seconds = (now() - loadedAt) / 1000;
    place.textContent = `Updated ${format.duration(seconds)} ago`;
    root.dataset.figures = seconds > STALE_SECONDS ? "stale" : "fresh";
  }

  return {
    /** The figures have just been loaded. */
    touch() {
      loadedAt = now();
      tick();
    },
    tick,
  };
}
