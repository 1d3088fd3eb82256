/** An account's messages: the chart, its table, and how old they are. */

import { createChart } from "./chart.js";
import { ageOf, now } from "./clock.js";
import { createNotes } from "./notes.js";
import { chartParts, byId } from "./page.js";
import { createRanges } from "./ranges.js";
import { drawTable, wireTable } from "./table.js";
import { readView, writeView } from "./view.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Activity} Activity */
/** @typedef {import("./types.js").View} View */

/** With millions of DMs a day a check takes about an hour; after two hours it is overdue. */
const OVERDUE_SECONDS = 2 * 3600;
const USUAL = "24h";

/**
 * @param {Format} format whose days are UTC's, as the account's are
 * @param {string} url of the account's history
 */
export function createActivity(format, url) {
  const table = byId("chart-table");
  const rows = byId("chart-rows", HTMLTableSectionElement);
  const chart = createChart(chartParts(), format);
  /** @type {Activity | null} */
  let drawn = null;
  let view = readView(location.search, USUAL);
  const notes = createNotes({ mark: chart.mark, format, now });
  const ranges = createRanges({
    view: () => view,
    choose(change) {
      view = { ...view, ...change };
      history.replaceState(null, "", location.pathname + writeView(view, USUAL));
      draw();
    },
    draw(picture) {
      chart.draw(picture);
      byId("compared").textContent = (picture.comparison ?? picture.expected)?.words ?? "";
      notes.show(picture);
      drawRows();
    },
    fail(sentence) {
      byId("chart-problem").textContent = sentence;
      byId("chart-problem").hidden = !sentence;
    },
    wait(busy) {
      byId("lately").setAttribute("aria-busy", String(busy));
    },
    onExpired() {},
    since: () => null,
    format,
    url,
    scope: "account",
  });

  function draw() {
    byId("lately").hidden = !drawn?.at;
    byId("uncounted").hidden = drawn === null || drawn.at !== null;
    byId("compared").hidden = view.compare === "none";
    ranges.drawControls();
    if (!drawn?.at) return;
    ranges.show(drawn.at);
    tick();
  }

  function drawRows() {
    if (!table.hidden) drawTable(rows, chart.picture, format, chart.remark);
  }

  function tick() {
    if (!drawn?.at) return;
    const seconds = ageOf(drawn.at);
    const overdue = seconds > OVERDUE_SECONDS;
    const place = byId("as-of");
    const next = overdue ? "; the next check is overdue" : "";
    place.textContent = `As of the last check of the ledger, ${format.duration(seconds)} ago${next}`;
    place.title = format.utc(drawn.at);
    for (const id of ["lately", "hour"]) byId(id).dataset.figures = overdue ? "stale" : "fresh";
  }

  wireTable(byId("table-button"), table, drawRows);

  return {
    /** @param {Activity} activity */
    show(activity) {
      drawn = activity;
      draw();
    },
    tick,
  };
}
