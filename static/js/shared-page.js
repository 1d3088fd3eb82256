/** The read-only overview of a shared link or a wall screen: wires the modules to the page. */

import { drawAccounts } from "./account-rows.js";
import { isStale } from "./age.js";
import { drawFacts, drawFigures, drawTrends } from "./cards.js";
import { createChart } from "./chart.js";
import { modeOf } from "./connection.js";
import { figuresOf } from "./figures.js";
import { createLive } from "./live.js";
import { chartParts, byId } from "./page.js";
import { pictureOf } from "./series.js";
import { otherEvents } from "./terms.js";
import { drawTimes } from "./ticking.js";
import { RANGES, seriesOf } from "./view.js";
import { keepAwake, watchBuild } from "./wall.js";
import { announcement, BADGES, sentence } from "./words.js";

/** @typedef {import("./types.js").Facts} Facts */
/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {"hour" | "24h" | "30d"} Shown */

const root = document.documentElement;
const { settings, format, age, timers, announce, start } = createLive({
  draw,
  onFacts(now) {
    facts = now;
    drawMode();
  },
});
const isWall = "wall" in root.dataset;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const chart = has("chart") ? createChart(chartParts(), format) : null;
/** @type {Shown} */
let range = "24h";
/** @type {Facts | null} */
let facts = null;
/** @type {Snapshot | null} */
let drawn = null;

/** @param {string} id @returns {boolean} whether the link shows that part */
function has(id) {
  return document.getElementById(id) !== null;
}

/** @param {Snapshot} snapshot */
function draw(snapshot) {
  const again = drawn !== null;
  drawn = snapshot;
  root.dataset.filled = "yes";
  root.dataset.version = snapshot.version;
  drawFigures(document, figuresOf(snapshot, format), again && !still.matches);
  drawTrends(document, snapshot);
  if (has("others")) drawFacts(byId("others"), otherEvents(snapshot.events, format));
  if (has("accounts-rows")) {
    drawAccounts(byId("accounts-rows", HTMLTableSectionElement), snapshot.topAccounts, format, age.of, { linked: false });
  }
  drawChart();
  tick();
}

function drawChart() {
  const series = seriesOf({ range, from: "", to: "", unit: "", compare: "none" });
  if (drawn && series) chart?.draw(pictureOf(drawn, series, RANGES[range].title));
}

function drawMode() {
  if (!facts) return;
  const seconds = drawn ? age.of(drawn.computedAt) : null;
  const stale = seconds !== null && isStale(seconds, settings.refresh);
  const mode = modeOf(facts, stale);
  const isOver = facts.expired;
  byId("sentence").textContent = isOver ? "These figures are no longer shared." : sentence(mode, facts, seconds, settings, format);
  root.dataset.figures = stale || isOver ? "stale" : "fresh";
  if (root.dataset.mode === mode) return;
  root.dataset.mode = mode;
  byId("badge").textContent = isOver ? "Ended" : BADGES[mode];
  announce(isOver ? "These figures are no longer shared." : announcement(mode, facts));
}

function tick() {
  drawMode();
  drawTimes(document, drawn, age, format);
}

for (const button of document.querySelectorAll("button[data-range]")) {
  button.addEventListener("click", () => {
    range = /** @type {Shown} */ (/** @type {HTMLElement} */ (button).dataset.range);
    for (const each of document.querySelectorAll("button[data-range]")) {
      each.setAttribute("aria-pressed", String(each === button));
    }
    drawChart();
  });
}

start();
setInterval(() => {
  if (!document.hidden) tick();
}, 1000);
if (isWall) {
  keepAwake();
  watchBuild({
    build: document.body.dataset.build ?? "",
    isOver: () => facts?.expired ?? false,
    ask: () => fetch(location.href, { credentials: "same-origin" }),
    reload: () => location.reload(),
    timers,
  });
}
