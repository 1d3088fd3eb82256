/** One request for the newest snapshot. */

import { deadline } from "./deadline.js";

const TIMEOUT_MS = 10_000;

/**
 * @typedef {{kind: "snapshot", snapshot: unknown} | {kind: "same"} | {kind: "expired"} | {kind: "error"}
 *   | {kind: "unreachable"} | {kind: "redirected"}} Answer `snapshot` is JSON of any shape
 */

/**
 * @param {Response} response
 * @returns {boolean} whether the service says that a shared link has ended; a proxy says so in its own words
 */
function isGone(response) {
  return response.status === 404 && (response.headers.get("Content-Type") ?? "").startsWith("application/problem+json");
}

/**
 * @param {string} url
 * @param {typeof fetch} ask
 * @returns {() => Promise<Answer>} sends one request, with the last ETag, so that an unchanged snapshot needs no body
 */
export function createPoll(url, ask) {
  let etag = "";
  return async () => {
    const limit = deadline(TIMEOUT_MS);
    try {
      const response = await ask(url, {
        headers: etag ? { Accept: "application/json", "If-None-Match": etag } : { Accept: "application/json" },
        credentials: "same-origin",
        // The service redirects none of these. Followed to another site, it would look like an outage.
        redirect: "manual",
        signal: limit.signal,
      });
      if (response.type === "opaqueredirect") return { kind: "redirected" };
      if (response.status === 304) return { kind: "same" };
      if (response.status === 401 || isGone(response)) return { kind: "expired" };
      if (!response.ok) return { kind: "error" };
      const snapshot = await response.json();
      etag = response.headers.get("ETag") ?? "";
      return { kind: "snapshot", snapshot };
    } catch {
      // fetch rejects for every way in which no answer came: refused, reset, timed out.
      return { kind: "unreachable" };
    } finally {
      limit.end();
    }
  };
}
