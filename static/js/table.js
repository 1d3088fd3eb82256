/** The chart's values as a table. */

import { nameOf } from "./chart.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Point} Point */

/** The number of rows added at once: each addition makes the browser lay out the whole table. */
const ROWS = 100;
/** @type {WeakMap<HTMLTableSectionElement, {about: string, rows: number}>} how much of what is shown */
const shown = new WeakMap();

/**
 * The newest first, and a button for more. With a comparison each row has the earlier point, and the difference.
 * With remarks on any point there is a column of them.
 * @param {HTMLTableSectionElement} body
 * @param {Picture} picture
 * @param {Format} format
 * @param {(index: number) => string} [remark] on a point; empty for none
 */
export function drawTable(body, picture, format, remark = () => "") {
  const { points, comparison, unit } = picture;
  const remarks = points.map((_, i) => remark(i));
  const isRemarked = remarks.some(Boolean);
  const width = drawHead(body, comparison !== null, isRemarked);
  const unmatched = comparison?.unmatched ?? [];
  const about = `${picture.title} ${unit}`;
  const before = shown.get(body);
  const most = before?.about === about ? before.rows : ROWS;
  shown.set(body, { about, rows: most });
  const rows = [...points.keys()].reverse().slice(0, most).map(rowAt);
  rows.push(...unmatched.slice(0, most - rows.length).map((point) => restRow(point, unit, format)));
  const left = points.length + unmatched.length - rows.length;
  if (left > 0) rows.push(moreRow(left, width, showMore));
  body.replaceChildren(...rows);

  /** @param {number} index */
  function rowAt(index) {
    const point = /** @type {Point} */ (points[index]);
    const row = document.createElement("tr");
    row.append(headCell(nameOf(picture, index, format), point.at, format), cell(point.sent, format), cell(point.received, format));
    if (comparison) row.append(...earlierCells(point, comparison.points[index] ?? null, unit, format));
    if (isRemarked) row.append(textCell(remarks[index] ?? ""));
    return row;
  }

  function showMore() {
    shown.set(body, { about, rows: most + ROWS });
    drawTable(body, picture, format, remark);
    /** @type {HTMLElement | null} */ (body.querySelector("button"))?.focus();
  }
}

/**
 * @param {number} left
 * @param {number} columns
 * @param {() => void} onMore
 */
function moreRow(left, columns, onMore) {
  const row = document.createElement("tr");
  const place = document.createElement("td");
  place.colSpan = columns;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small";
  button.textContent = left > ROWS ? `Show ${ROWS} of ${left} more` : `Show ${left} more`;
  button.addEventListener("click", onMore);
  place.append(button);
  row.append(place);
  return row;
}

/**
 * @param {HTMLTableSectionElement} body
 * @param {boolean} compared
 * @param {boolean} isRemarked
 * @returns {number} how many columns there are
 */
function drawHead(body, compared, isRemarked) {
  const more = compared ? ["Compared with", "Sent", "Received", "Sent, difference", "Received, difference"] : [];
  const names = ["Time", "Sent", "Received", ...more, ...(isRemarked ? ["Remarks"] : [])];
  const row = body.parentElement?.querySelector("thead tr");
  row?.replaceChildren(
    ...names.map((name) => {
      const head = document.createElement("th");
      head.scope = "col";
      head.textContent = name;
      return head;
    }),
  );
  return names.length;
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
