/** How uPlot draws the large chart: colours, axes, cursor. */

import { isolatedIndexes } from "./series.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Unit} Unit */

const USUAL_HEIGHT = 300;
/** The text size, in px, for which the sizes below are. */
const USUAL_TEXT = 16;
/** @type {uPlot.Series.Points} */
const POINTS = { show: false, size: 6, filter: (u, series) => (isSmall(u) ? [] : isolatedIndexes([...(u.data[series] ?? [])])) };
/** With at most this many messages per bucket, bars are drawn: lines would zigzag, and equal ones would hide each other. */
const FEW = 20;
/** The width of one of the two bars, as a share of its bucket. */
const BAR_SHARE = 0.38;
const WIDEST_BAR = 18;
/** Half of a long time of day ("12:00 PM"), which the last name on the axis may need. */
const RIGHT = 36;
/** The columns of what was counted come first; those of the expected range are behind them. */
const COUNTED = 6;
const FLAG = 4;
const STEPS = [1, 2, 5];
const MAX_STEP = 1e15;
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const MONTH = 30 * DAY;
const YEAR = 365 * DAY;
/** @type {Record<Unit, number>} seconds */
const STEP = { minute: MINUTE, hour: HOUR, day: DAY, week: 7 * DAY, month: MONTH };
/** Seconds between the names on the axis: no bucket is named twice. From 30 days up uPlot steps by months. */
const LONG_TICKS = [...[1, 2, 3, 6].map((n) => n * MONTH), ...[1, 2, 5, 10].map((n) => n * YEAR)];
const DAY_TICKS = [1, 2, 3, 5, 7, 10, 15].map((n) => n * DAY);
/** @type {Record<Unit, number[]>} */
const TICKS = {
  minute: [...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE), ...[1, 2, 3, 6].map((n) => n * HOUR)],
  hour: [...[1, 2, 3, 4, 6, 12].map((n) => n * HOUR), ...DAY_TICKS],
  day: [...DAY_TICKS, ...LONG_TICKS],
  week: [7 * DAY, 14 * DAY, ...LONG_TICKS],
  month: LONG_TICKS,
};

/**
 * @param {HTMLElement} box
 * @returns {{width: number, height: number}} in px
 */
export function sizeOf(box) {
  return { width: box.clientWidth, height: box.clientHeight || USUAL_HEIGHT };
}

/**
 * @param {HTMLElement} box
 * @param {Format} format
 * @param {() => Unit} unit
 * @param {(index: number | null) => void} read
 * @param {() => Iterable<number>} marked the points with annotations
 * @returns {uPlot.Options}
 */
export function optionsFor(box, format, unit, read, marked) {
  const style = getComputedStyle(box);
  /** @param {string} token */
  const colour = (token) => style.getPropertyValue(token).trim();
  // On a wall, and for readers who have chosen larger text.
  const larger = parseFloat(style.fontSize) / USUAL_TEXT;
  const font = `${12 * larger}px ${style.fontFamily}`;
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
    width: 2 * larger,
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
    width: 2 * larger,
    spanGaps: false,
    paths: (u, ...rest) => (isSmall(u) ? shapes[which].bars(u, ...rest) : null),
    points: { show: (u) => !isSmall(u), size: 9 * larger, width: 2 * larger, fill: colour("--panel"), stroke: colour(`--${which}`) },
  });
  /**
   * The compared period.
   * @param {"sent" | "received"} which
   * @returns {uPlot.Series}
   */
  const earlier = (which) => ({
    stroke: colour(`--${which}`),
    width: 1.5,
    dash: [5, 5],
    spanGaps: false,
    paths: shapes[which].line,
    points: { show: false, size: 5, filter: (u, series) => isolatedIndexes([...(u.data[series] ?? [])]) },
  });
  /** @returns {uPlot.Series} an edge of the expected range, of which only what is between is drawn */
  const edge = () => ({ stroke: "transparent", width: 0, spanGaps: false, paths: shapes.sent.line, points: { show: false } });
  /**
   * The points outside the expected range: a larger ring.
   * @returns {uPlot.Series}
   */
  const outside = () => ({
    spanGaps: false,
    paths: () => null,
    points: { show: true, size: 13, width: 2.5, fill: "transparent", stroke: colour("--warn-dot") },
  });
  return {
    ...sizeOf(box),
    legend: { show: false },
    padding: [12, RIGHT * larger, 0, 0],
    cursor: {
      y: false,
      drag: { x: false, y: false },
      // No circle on the edges of the expected range.
      dataIdx: (_u, series, index) => (series > COUNTED ? -1 : index),
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
      return unit() === "minute" || unit() === "hour" ? date : uPlot.tzDate(date, format.dayZone);
    },
    scales: {
      // Half a bucket more at both ends, so that bars and rings there are not cut.
      x: { time: true, range: (_u, low, high) => [low - STEP[unit()] / 2, high + STEP[unit()] / 2] },
      y: { range: (_u, _low, high) => [0, niceTop(high)] },
    },
    axes: [
      {
        stroke: colour("--quiet"),
        font,
        grid: { show: false },
        ticks: { show: false },
        size: 30 * larger,
        space: 64 * larger,
        incrs: () => TICKS[unit()],
        values: (_u, splits, _axis, _space, step) => splits.map((second) => label(unit(), second, step, format)),
      },
      {
        stroke: colour("--quiet"),
        font,
        grid,
        ticks: { show: false },
        size: 52 * larger,
        incrs: wholeSteps(),
        values: (_u, splits) => splits.map((n) => format.compact(n, splits.at(-1) ?? n)),
      },
    ],
    series: [
      {},
      full("sent", colour("--sent-area")),
      full("received"),
      soFar("sent"),
      soFar("received"),
      earlier("sent"),
      earlier("received"),
      ...Array.from({ length: 4 }, edge),
      outside(),
      outside(),
    ],
    bands: [
      { series: [7, 9], fill: colour("--sent-band") },
      { series: [8, 10], fill: colour("--received-band") },
    ],
    hooks: {
      setCursor: [(u) => read(u.cursor.idx ?? null)],
      draw: [(u) => drawMarks(u, marked(), colour("--quiet"))],
    },
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
 * A dashed line with a flag at each point with annotations.
 * @param {uPlot} u
 * @param {Iterable<number>} points
 * @param {string} colour
 */
function drawMarks(u, points, colour) {
  const { ctx } = u;
  const size = FLAG * uPlot.pxRatio;
  const { top, height } = u.bbox;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour;
  ctx.lineWidth = uPlot.pxRatio;
  for (const index of points) {
    const x = Math.round(u.valToPos(u.data[0][index] ?? 0, "x", true));
    ctx.setLineDash([size / 2, size / 2]);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x - size, top - size);
    ctx.lineTo(x + size, top - size);
    ctx.lineTo(x, top + size);
    ctx.fill();
  }
  ctx.restore();
}

/**
 * @param {uPlot} u
 * @returns {boolean} whether no bucket has more than a few
 */
function isSmall(u) {
  return u.data.slice(1, COUNTED + 1).every((values) => [...values].every((value) => (value ?? 0) <= FEW));
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
 * @param {Unit} unit
 * @param {number} second
 * @param {number} step seconds between two names
 * @param {Format} format
 */
function label(unit, second, step, format) {
  const at = new Date(second * 1000).toISOString();
  return format.tick(unit, at, step >= (unit === "minute" || unit === "hour" ? DAY : MONTH));
}

/** @returns {number[]} 1, 2, 5, 10, 20 and so on: counts are whole numbers */
function wholeSteps() {
  const steps = [];
  for (let ten = 1; ten <= MAX_STEP; ten *= 10) steps.push(...STEPS.map((step) => step * ten));
  return steps;
}
