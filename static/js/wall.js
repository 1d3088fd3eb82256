/** For wall screens that show a page for days: keeps the screen awake, and loads new versions. */

/** @typedef {import("./types.js").Timers} Timers */

const RENEW_MS = 15 * 60_000;

/** Ask the browser to keep the screen on, and ask again whenever the page becomes visible. */
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
 * Reload the page when the service has a new version of it, or is available again.
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
      // No answer: keep this page, and try again later.
    }
    timers.setTimeout(look, RENEW_MS);
  }
  timers.setTimeout(look, RENEW_MS);
}
