/** How uPlot draws the large chart: colours, axes, cursor. */

import { lonely } from "./series.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Range} Range */

export const HEIGHT = 300;
/** @type {uPlot.Series.Points} */
const POINTS = { show: false, size: 6, filter: (u, series) => lonely([...(u.data[series] ?? [])]) };
/** Half of a long time of day ("12:00 PM"), which the last name on the axis may need. */
const RIGHT = 36;
const STEPS = [1, 2, 5];
const MOST = 1e9;
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
/** Seconds between the names on the axis: no bucket is named twice. */
const TICKS = {
  hour: [1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  day: [1, 2, 3, 4, 6, 12].map((n) => n * HOUR),
  month: [1, 2, 3, 5, 7, 10, 15].map((n) => n * DAY),
};

/**
 * @param {HTMLElement} box
 * @param {Format} format
 * @param {() => Range} range
 * @param {(index: number | null) => void} read
 * @returns {uPlot.Options}
 */
export function optionsFor(box, format, range, read) {
  const style = getComputedStyle(box);
  /** @param {string} token */
  const colour = (token) => style.getPropertyValue(token).trim();
  const font = `12px ${style.fontFamily}`;
  const grid = { stroke: colour("--line"), width: 1 };
  /**
   * @param {string} stroke
   * @param {string} [fill]
   * @returns {uPlot.Series}
   */
  const line = (stroke, fill) => ({ stroke, fill, width: 2, spanGaps: false, points: POINTS });
  /** @param {string} stroke @returns {uPlot.Series} */
  const dashed = (stroke) => ({ stroke, width: 2, dash: [4, 4], spanGaps: false, points: POINTS });
  return {
    width: box.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    padding: [12, RIGHT, 0, 0],
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: {
        size: 9,
        width: 2,
        fill: colour("--panel"),
        stroke: (_u, i) => colour(i % 2 ? "--sent" : "--received"),
      },
    },
    // The server's days are UTC's: their ticks belong on UTC's midnights.
    tzDate: (second) => {
      const date = new Date(second * 1000);
      return range() === "month" ? uPlot.tzDate(date, "UTC") : date;
    },
    scales: { x: { time: true }, y: { range: (_u, _low, high) => [0, niceTop(high)] } },
    axes: [
      {
        stroke: colour("--quiet"),
        font,
        grid: { show: false },
        ticks: { show: false },
        size: 30,
        space: 64,
        incrs: () => TICKS[range()],
        values: (_u, splits) => splits.map((second) => label(range(), second, format)),
      },
      {
        stroke: colour("--quiet"),
        font,
        grid,
        ticks: { show: false },
        size: 52,
        incrs: wholeSteps(),
        values: (_u, splits) => splits.map((n) => format.compact(n)),
      },
    ],
    series: [
      {},
      line(colour("--sent"), colour("--sent-area")),
      line(colour("--received")),
      dashed(colour("--sent")),
      dashed(colour("--received")),
    ],
    hooks: { setCursor: [(u) => read(u.cursor.idx ?? null)] },
  };
}

/**
 * @param {number | null} high
 * @returns {number} a little above the highest value, so that the line never touches the edge
 */
function niceTop(high) {
  return Math.max(4, Math.ceil((high ?? 0) * 1.08));
}

/**
 * @param {Range} range
 * @param {number} second
 * @param {Format} format
 */
function label(range, second, format) {
  const at = new Date(second * 1000).toISOString();
  return range === "month" ? format.day(at) : format.time(at);
}

/** @returns {number[]} 1, 2, 5, 10, 20 and so on: there are no half messages */
function wholeSteps() {
  const steps = [];
  for (let ten = 1; ten <= MOST; ten *= 10) steps.push(...STEPS.map((step) => step * ten));
  return steps;
}
