/** How uPlot draws the large chart: colours, axes, cursor. */

import { lonely, STEP_MS } from "./series.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Range} Range */

export const HEIGHT = 300;
/** @type {uPlot.Series.Points} */
const POINTS = { show: false, size: 6, filter: (u, series) => (isSmall(u) ? [] : lonely([...(u.data[series] ?? [])])) };
/** Up to this many per bucket bars are drawn: lines would zigzag, and equal ones hide each other. */
const FEW = 20;
/** The width of one of the two bars, as a share of its bucket. */
const BAR_SHARE = 0.38;
const WIDEST_BAR = 18;
/** Half of a long time of day ("12:00 PM"), which the last name on the axis may need. */
const RIGHT = 36;
const STEPS = [1, 2, 5];
const MOST = 1e15;
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
  const shapes = { sent: shapesOf(-1), received: shapesOf(1) };
  /**
   * @param {"sent" | "received"} which
   * @param {string} [area] below a line
   * @returns {uPlot.Series}
   */
  const full = (which, area) => ({
    stroke: colour(`--${which}`),
    fill: (u) => (isSmall(u) ? colour(`--${which}`) : area) ?? "transparent",
    width: 2,
    spanGaps: false,
    paths: (u, ...rest) => (isSmall(u) ? shapes[which].bars : shapes[which].line)(u, ...rest),
    points: POINTS,
  });
  /**
   * The bucket that is still filling: a ring beside the line, or a hollow bar.
   * @param {"sent" | "received"} which
   * @returns {uPlot.Series}
   */
  const soFar = (which) => ({
    stroke: colour(`--${which}`),
    fill: colour("--panel"),
    width: 2,
    spanGaps: false,
    paths: (u, ...rest) => (isSmall(u) ? shapes[which].bars(u, ...rest) : null),
    points: { show: (u) => !isSmall(u), size: 9, width: 2, fill: colour("--panel"), stroke: colour(`--${which}`) },
  });
  return {
    width: box.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    padding: [12, RIGHT, 0, 0],
    cursor: {
      y: false,
      drag: { x: false, y: false },
      move: snapped,
      points: {
        size: 9,
        width: 2,
        fill: colour("--panel"),
        stroke: (_u, i) => colour(i % 2 ? "--sent" : "--received"),
      },
    },
    // The ticks of days belong on the midnights of the figures' days.
    tzDate: (second) => {
      const date = new Date(second * 1000);
      return range() === "month" ? uPlot.tzDate(date, format.dayZone) : date;
    },
    scales: {
      // Half a bucket more at both ends, so that bars and rings there are not cut.
      x: { time: true, range: (_u, low, high) => [low - STEP_MS[range()] / 2000, high + STEP_MS[range()] / 2000] },
      y: { range: (_u, _low, high) => [0, niceTop(high)] },
    },
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
      full("sent", colour("--sent-area")),
      full("received"),
      soFar("sent"),
      soFar("received"),
    ],
    hooks: { setCursor: [(u) => read(u.cursor.idx ?? null)] },
  };
}

/**
 * @param {-1 | 1} side of the bucket's middle
 * @returns {{line: uPlot.Series.PathBuilder, bars: uPlot.Series.PathBuilder}}
 */
function shapesOf(side) {
  const { linear, bars } = uPlot.paths;
  if (!linear || !bars) throw new Error("This uPlot draws no lines or no bars");
  return { line: linear(), bars: bars({ size: [BAR_SHARE, WIDEST_BAR], align: side }) };
}

/**
 * @param {uPlot} u
 * @returns {boolean} whether no bucket has more than a few
 */
function isSmall(u) {
  return u.data.slice(1).every((values) => [...values].every((value) => (value ?? 0) <= FEW));
}

/**
 * @param {uPlot} u
 * @param {number} left
 * @param {number} top
 * @returns {[number, number]} the cursor on the bucket that is read, not between two
 */
function snapped(u, left, top) {
  if (left < 0 || !u.data[0].length) return [left, top];
  return [u.valToPos(u.data[0][u.posToIdx(left)] ?? 0, "x"), top];
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
