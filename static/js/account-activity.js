/** An account's hours and days: the chart, its table, and how old they are. */

import { createChart } from "./chart.js";
import { part } from "./page.js";
import { pictureOf } from "./series.js";
import { drawTable, wireTable } from "./table.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Activity} Activity */
/** @typedef {"day" | "month"} Range */

/** A check takes an hour or so where there are millions of DMs a day: after two it is overdue. */
const OVERDUE_SECONDS = 2 * 3600;

const SPANS = { day: "Last 24 hours", month: "Last 7 days" };

/** @param {Format} format */
export function createActivity(format) {
  const table = part("chart-table");
  const buttons = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("button[data-range]"));
  const chart = createChart(
    { box: part("chart"), when: part("when"), sent: part("read-sent"), received: part("read-received"), pace: part("read-pace") },
    format,
  );
  /** @type {Activity | null} */
  let drawn = null;
  /** @type {Range} */
  let range = new URLSearchParams(location.search).get("range") === "month" ? "month" : "day";

  function draw() {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.range === range));
    part("lately").hidden = !drawn?.at;
    part("uncounted").hidden = drawn === null || drawn.at !== null;
    if (!drawn?.at) return;
    const series = { minutes: [], hours: drawn.hours, days: drawn.days };
    chart.draw(pictureOf({ series, computedAt: drawn.at }, range, SPANS[range]));
    if (!table.hidden) drawTable(part("chart-rows", HTMLTableSectionElement), chart.picture, format);
    tick();
  }

  function tick() {
    if (!drawn?.at) return;
    const seconds = (Date.now() - Date.parse(drawn.at)) / 1000;
    const overdue = seconds > OVERDUE_SECONDS;
    const place = part("as-of");
    const next = overdue ? "; the next one is overdue" : "";
    place.textContent = `As of the last check of the ledger, ${format.duration(seconds)} ago${next}`;
    place.title = format.utc(drawn.at);
    for (const id of ["lately", "hour"]) part(id).dataset.figures = overdue ? "stale" : "fresh";
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      range = button.dataset.range === "month" ? "month" : "day";
      history.replaceState(null, "", location.pathname + (range === "month" ? "?range=month" : ""));
      draw();
    });
  }
  wireTable(part("table-button"), table, draw);

  return {
    /** @param {Activity} activity */
    show(activity) {
      drawn = activity;
      draw();
    },
    tick,
  };
}
