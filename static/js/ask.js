/** One question to the API, answered with data or with a sentence about what went wrong. */

import { base } from "./base.js";

/** @typedef {{ok: true, data: any} | {ok: false, status: number, sentence: string}} Answer */

const TIMEOUT_MS = 15_000;

/**
 * @param {string} url from the service's own top on
 * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [options] `body` is sent as JSON
 * @param {typeof fetch} [fetcher]
 * @returns {Promise<Answer>}
 */
export async function ask(url, { method = "GET", body, signal } = {}, fetcher = fetch) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    const response = await fetcher(base + url, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: "same-origin",
      signal: signal ?? AbortSignal.timeout(TIMEOUT_MS),
    });
    const data = response.status === 204 ? null : await response.json();
    if (response.ok) return { ok: true, data };
    return { ok: false, status: response.status, sentence: sentenceFor(response.status, data?.detail) };
  } catch {
    // Refused, reset, timed out, or no JSON: to the reader it is all the same.
    return { ok: false, status: 0, sentence: "The service does not answer. Try again in a moment." };
  }
}

/**
 * @param {number} status
 * @param {string | undefined} detail
 */
function sentenceFor(status, detail) {
  if (status === 401) return "Your session has ended.";
  return detail || "That did not work. Try again in a moment.";
}
