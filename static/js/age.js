/** How old a figure is, by the server's clock: the reader's own may be wrong. */

/** @param {() => number} wall the reader's clock, in milliseconds since the epoch */
export function createAge(wall) {
  let ahead = 0;
  return {
    /** @param {number} serverMs what the server's clock says at this moment */
    hear(serverMs) {
      if (Number.isFinite(serverMs)) ahead = serverMs - wall();
    },

    /** @returns {number} the server's time now, in milliseconds since the epoch */
    now() {
      return wall() + ahead;
    },

    /**
     * @param {string} at
     * @returns {number} seconds since `at`, never below zero
     */
    of(at) {
      return Math.max(0, (wall() + ahead - Date.parse(at)) / 1000);
    },
  };
}

/**
 * @param {number} seconds the figures' age
 * @param {number} refresh seconds between the server's refreshes
 * @returns {boolean} whether a refresh is missing
 */
export function isStale(seconds, refresh) {
  return seconds > 1.5 * refresh;
}
