/** The sentences of the status line: each state in words a person understands. */

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
      return age === null ? "Asking for the first figures." : `Opening the live stream. ${when}.`;
    case "live":
      return age === null ? "Waiting for the first figures." : `Updated ${format.duration(age)} ago`;
    case "reconnecting":
      return facts.poll === "error" ? `The service reports an error. ${when}.` : `The live stream broke off. ${when}.`;
    case "polling":
      return `No live stream: asking every ${format.duration(settings.poll)}. ${when}.`;
    case "stale":
      return `A refresh is due every ${format.duration(settings.refresh)}, none came. ${when}.`;
    case "offline":
      return `${facts.online ? "The service does not answer; still trying." : "This device is offline."} ${when}.`;
    case "paused":
      return `Paused by you. ${when}.`;
    case "expired":
      return `Your session has ended. ${when}.`;
  }
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
      return "Live: the figures update by themselves.";
    case "reconnecting":
      return "The live stream broke off. Reconnecting.";
    case "polling":
      return "No live stream. The page asks for new figures from time to time.";
    case "stale":
      return "The figures are stale: the last refresh is overdue.";
    case "offline":
      return facts.online ? "The service does not answer." : "This device is offline.";
    case "paused":
      return "Paused.";
    case "expired":
      return "Your session has ended. Sign in again.";
  }
}
