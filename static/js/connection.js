/** The state of the page's connection to the server, and the word that the badge shows for it. */

/** @typedef {import("./types.js").Facts} Facts */
/** @typedef {import("./types.js").ConnectionEvent} ConnectionEvent */
/** @typedef {import("./types.js").Mode} Mode */

/**
 * @param {{online: boolean, visible: boolean}} page
 * @returns {Facts}
 */
export function initialFacts({ online, visible }) {
  return {
    online,
    visible,
    paused: false,
    expired: false,
    stream: "closed",
    refused: false,
    serverLive: true,
    everOpen: false,
    poll: "none",
  };
}

/**
 * @param {Facts} facts
 * @param {ConnectionEvent} event
 * @returns {Facts} the facts after the event; `facts` itself is left alone
 */
export function step(facts, event) {
  switch (event.type) {
    case "online":
      return { ...facts, online: true, poll: "none" };
    case "offline":
      return { ...facts, online: false };
    case "visible":
      return { ...facts, visible: true, poll: "none" };
    case "hidden":
      return { ...facts, visible: false };
    case "pause":
      return { ...facts, paused: true };
    case "resume":
      return { ...facts, paused: false, poll: "none" };
    case "expired":
      return { ...facts, expired: true };
    case "stream-opening":
      return { ...facts, stream: "opening" };
    case "stream-open":
      // Reported with the first event: some proxies forward a stream's headers and hold back its body.
      return { ...facts, stream: "open", refused: false, everOpen: true, poll: "none" };
    case "stream-closed":
      return { ...facts, stream: "closed" };
    case "stream-lost": {
      // The result of a poll while the stream was up is out of date.
      const poll = facts.stream === "open" ? "none" : facts.poll;
      return { ...facts, stream: "closed", refused: event.refused, poll };
    }
    case "heartbeat":
      return { ...facts, serverLive: event.live, poll: event.live ? "none" : facts.poll };
    case "poll":
      return { ...facts, poll: event.result };
  }
}

/**
 * What the page should be doing now.
 * @param {Facts} facts
 * @returns {{stream: boolean, poll: boolean}}
 */
export function desiredConnections(facts) {
  // `online` is not considered: navigator.onLine is wrong with some VPNs and proxies.
  const awake = facts.visible && !facts.paused && !facts.expired;
  const streaming = facts.stream === "open" && facts.serverLive && !unplugged(facts);
  return { stream: awake, poll: awake && !streaming };
}

/**
 * @param {Facts} facts
 * @returns {boolean} whether the device seems to have no network: the browser says so, and a request failed
 */
function unplugged(facts) {
  return !facts.online && facts.poll === "unreachable";
}

/**
 * @param {Facts} facts
 * @param {boolean} stale whether the figures are too old to be called current
 * @returns {Mode}
 */
export function modeOf(facts, stale) {
  const open = facts.stream === "open";
  if (facts.expired) return "expired";
  if (facts.paused) return "paused";
  if (!open && facts.poll === "redirected") return "expired";
  if (unplugged(facts) || (!open && facts.poll === "unreachable")) return "offline";
  if (stale) return "stale";
  if (open && facts.serverLive) return "live";
  if (facts.poll === "ok") return "polling";
  return facts.everOpen || facts.refused ? "reconnecting" : "connecting";
}
