/** One question to the server for the newest snapshot. */

/** @typedef {import("./types.js").Snapshot} Snapshot */

const TIMEOUT_MS = 10_000;

/**
 * @typedef {{kind: "snapshot", snapshot: Snapshot} | {kind: "same"} | {kind: "expired"} | {kind: "error"}
 *   | {kind: "unreachable"}} Answer
 */

/**
 * @param {string} url
 * @param {typeof fetch} ask
 * @returns {() => Promise<Answer>} asks once; remembers the ETag, so that nothing new costs no body
 */
export function createPoll(url, ask) {
  let etag = "";
  return async () => {
    try {
      const response = await ask(url, {
        headers: etag ? { Accept: "application/json", "If-None-Match": etag } : { Accept: "application/json" },
        credentials: "same-origin",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.status === 304) return { kind: "same" };
      if (response.status === 401) return { kind: "expired" };
      if (!response.ok) return { kind: "error" };
      const snapshot = await response.json();
      etag = response.headers.get("ETag") ?? "";
      return { kind: "snapshot", snapshot };
    } catch {
      // fetch rejects for every way in which no answer came: refused, reset, timed out.
      return { kind: "unreachable" };
    }
  };
}
