/** The annotations of a range: reads the API's annotations, and finds their points; pure. */

import { asList, asObject, asText, asTime } from "./wire/values.js";

/** @typedef {import("./types.js").Annotation} Annotation */
/** @typedef {import("./types.js").Point} Point */

const KINDS = /** @type {const} */ (["note", "version", "incident", "repair"]);

/**
 * @param {unknown} json
 * @returns {{annotations: Annotation[], complete: boolean}} oldest first; what cannot be read is left out
 */
export function annotationsFrom(json) {
  const found = asObject(json);
  const annotations = asList(found.annotations).map(annotationFrom).filter((each) => each !== null);
  return { annotations, complete: found.complete !== false };
}

/**
 * @param {unknown} json
 * @returns {Annotation | null}
 */
function annotationFrom(json) {
  const { id, kind, at, text, author, changedBy } = asObject(json);
  const when = asTime(at);
  const known = KINDS.find((each) => each === kind);
  if (!when || !known || typeof id !== "string" || typeof text !== "string") return null;
  return { id, kind: known, at: when, text, author: asText(author) ?? "", changedBy: asText(changedBy) ?? "" };
}

/**
 * @param {Annotation} annotation
 * @returns {string} its author and last editor; empty if it has no author
 */
export function authorsText({ author, changedBy }) {
  const changed = changedBy && changedBy !== author ? `changed by ${changedBy}` : "";
  return [author && `by ${author}`, changed].filter(Boolean).join(", ");
}

/**
 * @param {Point[]} points oldest first
 * @param {Annotation[]} annotations
 * @param {string | null} to where the last point ends; null: it has not ended
 * @returns {Map<number, string[]>} the texts of each point, by its index
 */
export function annotationsByPoint(points, annotations, to) {
  const starts = points.map((point) => Date.parse(point.at));
  const end = to === null ? Infinity : Date.parse(to);
  /** @type {Map<number, string[]>} */
  const found = new Map();
  for (const { at, text } of annotations) {
    const when = Date.parse(at);
    const index = starts.filter((start) => start <= when).length - 1;
    if (index < 0 || when >= end) continue;
    found.set(index, [...(found.get(index) ?? []), text]);
  }
  return found;
}

/**
 * @param {string} at
 * @returns {string} as an input for a date and a time has it, in the reader's time zone
 */
export function localInput(at) {
  const date = new Date(at);
  /** @param {number} n */
  const two = (n) => String(n).padStart(2, "0");
  const day = `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}`;
}
