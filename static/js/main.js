/** The dashboard: wires the modules to the page. */

import { drawAccounts } from "./account-rows.js";
import { drawStateCounts } from "./state-counts.js";
import { isStale } from "./age.js";
import { createChart } from "./chart.js";
import { modeOf, desiredConnections } from "./connection.js";
import { wireCopy } from "./copy.js";
import { createLive } from "./live.js";
import { drawOverview } from "./overview.js";
import { chartParts, byId } from "./page.js";
import { wireRefresh } from "./refresh.js";
import { pictureOf } from "./series.js";
import { drawTable, wireTable } from "./table.js";
import { wireShell } from "./shell.js";
import { drawTimes } from "./ticking.js";
import { RANGES, readView, seriesOf, writeView } from "./view.js";
import { watchTraffic } from "./trouble.js";
import { announcement, BADGES, sentence } from "./words.js";

/** @typedef {import("./types.js").Facts} Facts */
/** @typedef {import("./types.js").Mode} Mode */
/** @typedef {import("./types.js").Snapshot} Snapshot */

const root = document.documentElement;
const { settings, format, age, announce, feed, flush, start } = createLive({
  draw,
  onFacts(now) {
    facts = now;
    drawMode();
  },
});
const still = matchMedia("(prefers-reduced-motion: reduce)");
const chart = createChart(chartParts(), format);
const rows = byId("accounts-rows", HTMLTableSectionElement);
const chartRows = byId("chart-rows", HTMLTableSectionElement);

const trouble = watchTraffic({
  place: byId("trouble"),
  url: settings.trafficUrl,
  every: settings.poll,
  ask: (...request) => fetch(...request),
  now: age.now,
  format,
  announce,
});

let view = readView(location.search);
/** @type {ReturnType<typeof import("./ranges.js").createRanges> | null} null until it is loaded */
let ranges = null;
/** @type {ReturnType<typeof import("./notes.js").createNotes> | null} null until it is loaded */
let notes = null;
/** @type {Facts | null} */
let facts = null;
/** @type {Snapshot | null} */
let drawn = null;

/** @param {Snapshot} snapshot */
function draw(snapshot) {
  const again = drawn !== null;
  drawn = snapshot;
  drawOverview(snapshot, format, again && !still.matches);
  drawAccounts(rows, snapshot.topAccounts, format, age.of);
  drawStateCounts(byId("account-states"), snapshot.accountStates, format);
  tick();
  drawView();
}

function drawView() {
  ranges?.drawControls();
  byId("compared").hidden = view.compare === "none";
  if (!drawn) return;
  const series = seriesOf(view);
  if (series === null || view.range === "custom") ranges?.show(drawn.version);
  else {
    ranges?.leave();
    drawPicture(pictureOf(drawn, series, RANGES[view.range].title));
  }
}

/** @param {import("./types.js").Picture} picture */
function drawPicture(picture) {
  chart.draw(picture);
  byId("compared").textContent = (picture.comparison ?? picture.expected)?.words ?? "";
  notes?.show(picture);
  if (!byId("chart-table").hidden) drawChartTable();
}

function drawChartTable() {
  drawTable(chartRows, chart.picture, format, chart.remark);
}

/** @param {string} problem empty: there is none */
function failRange(problem) {
  byId("chart-problem").textContent = problem;
  byId("chart-problem").hidden = !problem;
}

async function loadRanges() {
  try {
    const [{ createRanges }, { createNotes }] = await Promise.all([import("./ranges.js"), import("./notes.js")]);
    notes = createNotes({ mark: chart.mark, format, now: age.now });
    ranges = createRanges({
      view: () => view,
      choose,
      draw: drawPicture,
      fail: failRange,
      wait(busy) {
        byId("messages").setAttribute("aria-busy", String(busy));
      },
      onExpired: () => feed.tell({ type: "expired" }),
      since: () => (drawn?.since ? Date.parse(drawn.since) : null),
      format,
      url: settings.historyUrl,
    });
    drawView();
  } catch {
    failRange("The range selection could not be loaded. Please reload the page.");
  }
}

/** @param {Partial<import("./types.js").View>} change */
function choose(change) {
  view = { ...view, ...change };
  history.replaceState(null, "", location.pathname + writeView(view));
  drawView();
}

function drawMode() {
  if (!facts) return;
  const seconds = drawn ? age.of(drawn.computedAt) : null;
  const stale = seconds !== null && isStale(seconds, settings.refresh);
  const mode = modeOf(facts, stale);
  byId("sentence").textContent = sentence(mode, facts, seconds, settings, format);
  if (drawn) byId("sentence").title = `Computed ${format.moment(drawn.computedAt)} (${format.utc(drawn.computedAt)})`;
  root.dataset.figures = stale ? "stale" : "fresh";
  if (root.dataset.mode === mode) return;
  root.dataset.mode = mode;
  byId("badge").textContent = BADGES[mode];
  byId("sign-in").hidden = mode !== "expired";
  document.title = mode === "live" || mode === "connecting" ? "dmstats" : `${BADGES[mode]} · dmstats`;
  announce(announcement(mode, facts));
}

function tick() {
  drawMode();
  drawTimes(document, drawn, age, format);
}

for (const link of document.querySelectorAll("a[data-leads-to]")) {
  // Without scripts, their href does the same.
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const { range } = readView(`range=${/** @type {HTMLElement} */ (link).dataset.leadsTo}`);
    choose({ range, from: "", to: "", unit: "" });
    byId("messages").scrollIntoView({ block: "start", behavior: still.matches ? "auto" : "smooth" });
    byId("chart").focus({ preventScroll: true });
  });
}
wireTable(byId("table-button"), byId("chart-table"), () => {
  if (!byId("chart-table").hidden) drawChartTable();
});
const pauseButton = byId("pause");
pauseButton.addEventListener("click", () => {
  const paused = pauseButton.getAttribute("aria-pressed") !== "true";
  pauseButton.setAttribute("aria-pressed", String(paused));
  byId("pause-label").textContent = paused ? "Resume" : "Pause";
  feed.tell({ type: paused ? "pause" : "resume" });
});
// A viewer's page has no such button.
if (document.getElementById("refresh")) {
  wireRefresh({
    button: byId("refresh", HTMLButtonElement),
    label: byId("refresh-label"),
    url: settings.refreshUrl,
    ask: (...request) => fetch(...request),
    format,
    async onRefreshed() {
      await feed.pollNow();
      flush();
    },
    onExpired: () => feed.tell({ type: "expired" }),
  });
}
wireCopy(document);
wireShell();

drawView();
start();
void loadRanges();
setInterval(() => {
  if (document.hidden) return;
  tick();
  trouble.tick(facts !== null && desiredConnections(facts).stream);
}, 1000);
