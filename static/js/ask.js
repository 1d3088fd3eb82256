/** One request to the API; the result is data, or a sentence about the failure. */

import { hear } from "./clock.js";
import { deadline } from "./deadline.js";
import { base } from "./base.js";

/** @typedef {{ok: true, data: any} | {ok: false, status: number, sentence: string}} Answer */

const TIMEOUT_MS = 15_000;
const NO_ANSWER = "The service does not answer. Try again in a moment.";

/**
 * @param {string} url
 * @param {{method?: string, body?: unknown, signal?: AbortSignal, timeout?: number}} [options] `body` is
 * sent as JSON, a file as it is; `signal` gives up before the `timeout` (milliseconds) does
 * @param {typeof fetch} [fetcher]
 * @returns {Promise<Answer>}
 */
export async function ask(url, { method = "GET", body, signal, timeout = TIMEOUT_MS } = {}, fetcher = fetch) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  const file = body instanceof Blob ? body : null;
  if (body !== undefined) headers["Content-Type"] = file ? "text/csv" : "application/json";
  const limit = deadline(timeout, signal);
  try {
    const response = await fetcher(base + url, {
      method,
      headers,
      body: file ?? (body === undefined ? null : JSON.stringify(body)),
      credentials: "same-origin",
      redirect: "manual",
      signal: limit.signal,
    });
    hear(response);
    // A proxy in front of the service wants a sign-in.
    if (response.type === "opaqueredirect") return { ok: false, status: 401, sentence: sentenceFor(401, null) };
    const data = response.status === 204 ? null : await response.json();
    if (response.ok) return { ok: true, data };
    return { ok: false, status: response.status, sentence: sentenceFor(response.status, data?.detail) };
  } catch {
    // Refused, reset, timed out, or no JSON: the reader gets the same message.
    return { ok: false, status: 0, sentence: NO_ANSWER };
  } finally {
    limit.end();
  }
}

/**
 * @param {number} status
 * @param {unknown} detail the server's text. It explains a 4xx well, but names drivers and exceptions in a
 * 5xx
 */
function sentenceFor(status, detail) {
  if (status === 401) return "Your session has ended.";
  if (status === 503) return "The database does not answer. Counting continues when it is back.";
  if (status >= 500) return "The service reports an error. Try again in a moment.";
  return typeof detail === "string" && detail ? detail : "That did not work. Try again in a moment.";
}
