/**
 * Reads single values of the server's JSON. A value of a wrong type is read as null (unknown), so it affects
 * nothing but its own place on the page.
 *
 * For a value that may be absent, null means "none" and undefined means "unknown".
 */

/** @typedef {import("../types.js").Pair} Pair */
/** @typedef {import("../types.js").Point} Point */

const MAX_EXACT = 2 ** 53;
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$/;
const MONTH = /^\d{4}-(0[1-9]|1[0-2])$/;
const MAX_LENGTH = 256;
/** Control characters, and bidi marks, which change the direction of the text after them. */
// eslint-disable-next-line no-control-regex
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/g;

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>} its fields; none if it is no object
 */
export function asObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? /** @type {Record<string, unknown>} */ (value)
    : {};
}

/**
 * @param {unknown} value
 * @returns {unknown[]}
 */
export function asList(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {unknown} value
 * @returns {number | null} null: no number, or one that is too large to be exact
 */
export function asNumber(value) {
  return typeof value === "number" && Math.abs(value) <= MAX_EXACT ? value : null;
}

/**
 * @param {unknown} value
 * @returns {string | null} an RFC 3339 time that exists
 */
export function asTime(value) {
  return typeof value === "string" && RFC_3339.test(value) && Number.isFinite(Date.parse(value)) ? value : null;
}

/**
 * @param {unknown} value
 * @returns {string | null} text for the page: without control characters and bidi marks, and cut at
 * 256 characters
 */
export function asLabel(value) {
  if (typeof value !== "string") return null;
  const seen = value.slice(0, 4 * MAX_LENGTH).replace(INVISIBLE, "").trim();
  return seen.length > MAX_LENGTH ? `${seen.slice(0, MAX_LENGTH)}…` : seen;
}

/**
 * @template T
 * @param {unknown} value
 * @param {(value: unknown) => T | null} read
 * @returns {T | null | undefined} null: there is none; undefined: unknown
 */
export function optional(value, read) {
  return value === null || value === undefined ? null : (read(value) ?? undefined);
}

/** @param {unknown} value @returns {string | null} */
export function asText(value) {
  return typeof value === "string" ? value : null;
}

/** @param {unknown} value @returns {boolean | null} */
export function asBoolean(value) {
  return typeof value === "boolean" ? value : null;
}

/** @param {unknown} value @returns {string | null} */
export function asMonth(value) {
  return typeof value === "string" && MONTH.test(value) ? value : null;
}

/**
 * @param {unknown} json
 * @returns {[string, number | null][]}
 */
export function asCounts(json) {
  return Object.entries(asObject(json)).map(([name, n]) => [asLabel(name) ?? "", asNumber(n)]);
}

/**
 * @param {unknown} json
 * @returns {Point[]} those whose time is known, oldest first
 */
export function asPoints(json) {
  return asList(json)
    .map((each) => {
      const { at, sent, received } = asObject(each);
      return { at: asTime(at), sent: asNumber(sent), received: asNumber(received) };
    })
    .filter(/** @returns {each is Point} */ (each) => each.at !== null)
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

/** @param {unknown} json @returns {Pair} */
export function asPair(json) {
  const { sent, received } = asObject(json);
  return { sent: asNumber(sent), received: asNumber(received) };
}
