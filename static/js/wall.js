/** What a screen on a wall needs that shows a page for days: it stays awake, and gets new versions. */

/** @typedef {import("./types.js").Timers} Timers */

const RENEW_MS = 15 * 60_000;

/** Ask the browser not to switch the screen off, again whenever it has been seen again. */
export function keepAwake() {
  const request = async () => {
    try {
      if (!document.hidden) await navigator.wakeLock?.request("screen");
    } catch {
      // Refused, for example to save power: the screen's own settings decide.
    }
  };
  document.addEventListener("visibilitychange", request);
  void request();
}

/**
 * Load the page anew once the service has another version of it, or has it again.
 * @param {object} options
 * @param {string} options.build the version of this page
 * @param {() => boolean} options.isOver whether the figures have ended for good
 * @param {() => Promise<Response>} options.ask asks for the page itself
 * @param {() => void} options.reload
 * @param {Timers} options.timers
 */
export function watchBuild({ build, isOver, ask, reload, timers }) {
  async function look() {
    try {
      const response = await ask();
      // The sign-in is another page, and a proxy's error page has no version.
      const found = response.ok && !response.redirected ? /data-build="([^"]+)"/.exec(await response.text()) : null;
      if (found && (found[1] !== build || isOver())) {
        reload();
        return;
      }
    } catch {
      // No answer: this page stays, and goes on trying.
    }
    timers.setTimeout(look, RENEW_MS);
  }
  timers.setTimeout(look, RENEW_MS);
}
