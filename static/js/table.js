/** The chart's values as a table. */

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./series.js").Point} Point */
/** @typedef {import("./types.js").Range} Range */

/**
 * @param {HTMLTableSectionElement} body
 * @param {Point[]} points
 * @param {Range} range
 * @param {boolean} unfinished whether the last bucket is still filling
 * @param {Format} format
 */
export function drawTable(body, points, range, unfinished, format) {
  const rows = [...points].reverse().map((point) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const time = document.createElement("time");
    time.dateTime = point.at;
    time.title = format.utc(point.at);
    const running = unfinished && point === points.at(-1) ? ", so far" : "";
    time.textContent = format.bucket(range, point.at) + running;
    head.append(time);
    row.append(head, cell(point.sent, format), cell(point.received, format));
    return row;
  });
  body.replaceChildren(...rows);
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
 * @param {number | null} n
 * @param {Format} format
 */
function cell(n, format) {
  const element = document.createElement("td");
  element.textContent = n === null ? "no data" : format.count(n);
  return element;
}
