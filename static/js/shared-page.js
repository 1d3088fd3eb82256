/** The overview to look at only, of a shared link or on a wall: wires the modules to its parts. */

import { drawAccounts } from "./account-rows.js";
import { createAge, isStale } from "./age.js";
import { createAnnouncer } from "./announce.js";
import { drawFacts, drawFigures, drawTrends } from "./cards.js";
import { createChart } from "./chart.js";
import { modeOf } from "./connection.js";
import { createDebounce } from "./debounce.js";
import { createFeed } from "./feed.js";
import { figuresOf } from "./figures.js";
import { createFormat } from "./format.js";
import { part } from "./page.js";
import { pictureOf } from "./series.js";
import { readSettings } from "./settings.js";
import { createState } from "./state.js";
import { otherEvents } from "./terms.js";
import { drawTimes } from "./ticking.js";
import { RANGES, seriesOf } from "./view.js";
import { keepAwake, watchBuild } from "./wall.js";
import { snapshotFrom } from "./wire/snapshot.js";
import { announcement, BADGES, sentence } from "./words.js";

/** @typedef {import("./types.js").Facts} Facts */
/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {"hour" | "24h" | "30d"} Shown */

const root = document.documentElement;
const settings = readSettings(document.body.dataset);
const format = createFormat(undefined, undefined, settings.timeZone);
const age = createAge(() => Date.now());
const state = createState();
/** @type {import("./types.js").Timers} */
const timers = {
  setTimeout: (callback, milliseconds) => window.setTimeout(callback, milliseconds),
  clearTimeout: (id) => window.clearTimeout(id),
};
const announce = createAnnouncer(part("announce"), timers);
const isWall = "wall" in root.dataset;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const chart = has("chart")
  ? createChart(
      {
        box: part("chart"),
        when: part("when"),
        sent: part("read-sent"),
        received: part("read-received"),
        pace: part("read-pace"),
      },
      format,
    )
  : null;
/** @type {Shown} */
let range = "24h";
/** @type {Facts | null} */
let facts = null;
/** @type {Snapshot | null} */
let drawn = null;

/** @param {string} id @returns {boolean} whether the link has that part */
function has(id) {
  return document.getElementById(id) !== null;
}

const debounce = createDebounce(settings.debounce, draw, timers);
const feed = createFeed({
  settings,
  page: { online: navigator.onLine, visible: !document.hidden },
  version: () => state.version,
  connect: (url) => new EventSource(url),
  ask: (...request) => fetch(...request),
  timers,
  random: Math.random,
  onSnapshot: takeIn,
  onServerTime: (at) => age.hear(Date.parse(at)),
  onFacts(now) {
    facts = now;
    drawMode();
  },
});

/**
 * @param {unknown} json
 * @returns {boolean} whether it is a snapshot
 */
function takeIn(json) {
  const snapshot = snapshotFrom(json);
  if (!snapshot) return false;
  age.hear(Date.parse(snapshot.computedAt) + snapshot.ageSeconds * 1000);
  if (state.offer(snapshot)) debounce.push(snapshot);
  return true;
}

/** @param {Snapshot} snapshot */
function draw(snapshot) {
  const again = drawn !== null;
  drawn = snapshot;
  root.dataset.filled = "yes";
  root.dataset.version = snapshot.version;
  drawFigures(document, figuresOf(snapshot, format), again && !still.matches);
  drawTrends(document, snapshot);
  if (has("others")) drawFacts(part("others"), otherEvents(snapshot.events, format));
  if (has("accounts-rows")) {
    drawAccounts(part("accounts-rows", HTMLTableSectionElement), snapshot.topAccounts, format, age.of, { linked: false });
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
  const isOver = mode === "expired";
  part("sentence").textContent = isOver ? "These figures are no longer shared." : sentence(mode, facts, seconds, settings, format);
  root.dataset.figures = stale || isOver ? "stale" : "fresh";
  if (root.dataset.mode === mode) return;
  root.dataset.mode = mode;
  part("badge").textContent = isOver ? "Ended" : BADGES[mode];
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
addEventListener("online", () => feed.tell({ type: "online" }));
addEventListener("offline", () => feed.tell({ type: "offline" }));
document.addEventListener("visibilitychange", () => feed.tell({ type: document.hidden ? "hidden" : "visible" }));
// A page that comes back from the browser's own cache has lost its connections.
addEventListener("pagehide", () => feed.tell({ type: "hidden" }));
addEventListener("pageshow", (event) => {
  if (event.persisted) feed.tell({ type: "visible" });
});

const brought = part("first").textContent;
if (brought) takeIn(JSON.parse(brought));
feed.start();
setInterval(() => {
  if (!document.hidden) tick();
}, 1000);
if (isWall) {
  keepAwake();
  watchBuild({
    build: document.body.dataset.build ?? "",
    isOver: () => root.dataset.mode === "expired",
    ask: () => fetch(location.href, { credentials: "same-origin" }),
    reload: () => location.reload(),
    timers,
  });
}
