/** The chart's values as a table. */

import { nameOf } from "./chart.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Point} Point */

/** Rows of one task; more would keep the page from answering. */
const ROWS = 100;
/** @type {WeakMap<HTMLTableSectionElement, number>} the tasks that wait */
const waiting = new WeakMap();

/**
 * The newest first. With a comparison each row has the earlier point, and the difference.
 * @param {HTMLTableSectionElement} body
 * @param {Picture} picture
 * @param {Format} format
 */
export function drawTable(body, picture, format) {
  const { points, comparison, unit } = picture;
  drawHead(body, comparison !== null);
  clearTimeout(waiting.get(body));
  body.replaceChildren();
  const unmatched = comparison?.unmatched ?? [];
  /** @param {number} index */
  function rowAt(index) {
    const point = points[index];
    if (!point) return restRow(/** @type {Point} */ (unmatched[-1 - index]), unit, format);
    const row = document.createElement("tr");
    row.append(headCell(nameOf(picture, index, format), point.at, format), cell(point.sent, format), cell(point.received, format));
    if (comparison) row.append(...earlierCells(point, comparison.points[index] ?? null, unit, format));
    return row;
  }
  /** @param {number} from the row below which it goes on */
  function draw(from) {
    const to = Math.max(-unmatched.length, from - ROWS);
    for (let index = from - 1; index >= to; index -= 1) body.append(rowAt(index));
    if (to > -unmatched.length) waiting.set(body, window.setTimeout(draw, 0, to));
  }
  draw(points.length);
}

/**
 * @param {HTMLTableSectionElement} body
 * @param {boolean} compared
 */
function drawHead(body, compared) {
  const names = ["Time", "Sent", "Received", ...(compared ? ["Compared with", "Sent", "Received", "Sent, difference", "Received, difference"] : [])];
  const row = body.parentElement?.querySelector("thead tr");
  if (!row || row.children.length === names.length) return;
  row.replaceChildren(
    ...names.map((name) => {
      const head = document.createElement("th");
      head.scope = "col";
      head.textContent = name;
      return head;
    }),
  );
}

/**
 * @param {Point} point
 * @param {Point | null} before
 * @param {import("./types.js").Unit} unit
 * @param {Format} format
 */
function earlierCells(point, before, unit, format) {
  if (!before) {
    const none = document.createElement("td");
    none.colSpan = 5;
    none.textContent = "no counterpart";
    return [none];
  }
  /** @param {"sent" | "received"} key */
  const difference = (key) => {
    const [now, then] = [point[key], before[key]];
    return cell(now === null || then === null ? null : now - then, format, format.difference);
  };
  const name = textCell(format.bucket(unit, before.at, true));
  return [name, cell(before.sent, format), cell(before.received, format), difference("sent"), difference("received")];
}

/**
 * @param {Point} point of the earlier range that has no counterpart
 * @param {import("./types.js").Unit} unit
 * @param {Format} format
 */
function restRow(point, unit, format) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = "no counterpart";
  const name = textCell(format.bucket(unit, point.at, true));
  row.append(head, textCell(""), textCell(""), name, cell(point.sent, format), cell(point.received, format), textCell(""), textCell(""));
  return row;
}

/**
 * Show and hide a table by its button.
 * @param {HTMLElement} button
 * @param {HTMLElement} table
 * @param {() => void} onTurn
 */
export function wireTable(button, table, onTurn) {
  button.addEventListener("click", () => {
    table.hidden = !table.hidden;
    button.setAttribute("aria-expanded", String(!table.hidden));
    onTurn();
  });
}

/**
 * @param {string} name
 * @param {string} at
 * @param {Format} format
 */
function headCell(name, at, format) {
  const head = document.createElement("th");
  head.scope = "row";
  const time = document.createElement("time");
  time.dateTime = at;
  time.title = format.utc(at);
  time.textContent = name;
  head.append(time);
  return head;
}

/**
 * @param {number | null} n
 * @param {Format} format
 * @param {(n: number) => string} [words]
 */
function cell(n, format, words = format.count) {
  return textCell(n === null ? "no data" : words(n));
}

/** @param {string} text */
function textCell(text) {
  const element = document.createElement("td");
  element.textContent = text;
  return element;
}
