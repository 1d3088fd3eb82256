/** The sentences of the status line: each state in plain words. */

/** @typedef {import("./types.js").Facts} Facts */
/** @typedef {import("./types.js").Mode} Mode */
/** @typedef {import("./format.js").Format} Format */

/** @type {Record<Mode, string>} */
export const BADGES = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  polling: "Polling",
  stale: "Stale",
  offline: "Offline",
  paused: "Paused",
  expired: "Signed out",
};

/**
 * @param {Mode} mode
 * @param {Facts} facts
 * @param {number | null} age seconds since the figures were computed; null while there are none
 * @param {{poll: number, refresh: number}} settings
 * @param {Format} format
 * @returns {string} what the badge means for the figures on the page
 */
export function sentence(mode, facts, age, settings, format) {
  const when = age === null ? "No figures yet" : `Figures from ${format.duration(age)} ago`;
  switch (mode) {
    case "connecting":
      return age === null ? "Loading the first figures." : `Opening the live stream. ${when}.`;
    case "live":
      return age === null ? "Waiting for the first figures." : `Updated ${format.duration(age)} ago`;
    case "reconnecting":
      return facts.poll === "error" ? `The service reports an error. ${when}.` : `The live stream was lost. ${when}.`;
    case "polling":
      return `No live stream: checking every ${format.duration(settings.poll)}. ${when}.`;
    case "stale":
      return `${overdue(age ?? 0, settings.refresh, format)} ${when}.`;
    case "offline":
      return `${facts.online ? "The service does not answer; still trying." : "This device seems to be offline; still trying."} ${when}.`;
    case "paused":
      return `Paused by you. ${when}.`;
    case "expired":
      return `${facts.expired ? "Your session has ended." : "The sign-in in front of this service has ended."} ${when}.`;
  }
}

/**
 * @param {number} age seconds
 * @param {number} refresh seconds
 * @param {Format} format
 */
function overdue(age, refresh, format) {
  return `The last update was due ${format.duration(Math.max(0, age - refresh))} ago.`;
}

/**
 * @param {Mode} mode
 * @param {Facts} facts
 * @returns {string} the same without the running seconds, for a screen reader
 */
export function announcement(mode, facts) {
  switch (mode) {
    case "connecting":
      return "";
    case "live":
      return "Live: the figures update automatically.";
    case "reconnecting":
      return "The live stream was lost. Reconnecting.";
    case "polling":
      return "No live stream. The page checks for new figures regularly.";
    case "stale":
      return "The figures are stale: the last refresh is overdue.";
    case "offline":
      return facts.online ? "The service does not answer." : "This device seems to be offline.";
    case "paused":
      return "Paused.";
    case "expired":
      return "Your session has ended. Sign in again.";
  }
}
