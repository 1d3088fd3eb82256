/** The newest snapshot this page has seen; an older one never replaces it. */

import { compareVersions } from "./version.js";

/** @typedef {import("./types.js").Snapshot} Snapshot */

export function createState() {
  /** @type {Snapshot | null} */
  let newest = null;
  return {
    /** @returns {Snapshot | null} */
    get newest() {
      return newest;
    },

    /** @returns {string} the newest version, or an empty string */
    get version() {
      return newest?.version ?? "";
    },

    /**
     * @param {Snapshot} snapshot
     * @returns {boolean} whether it is newer than the current one
     */
    offer(snapshot) {
      if (newest && compareVersions(snapshot.version, newest.version) <= 0) return false;
      newest = snapshot;
      return true;
    },
  };
}
