/** Writes the figures into the tiles, touching only what changed. */

import { isRunning, pointsOf } from "./series.js";
import { drawSparkline } from "./sparkline.js";

/** @typedef {import("./figures.js").Figure} Figure */
/** @typedef {import("./series.js").Point} Point */
/** @typedef {import("./types.js").Range} Range */
/** @typedef {import("./types.js").Snapshot} Snapshot */

/**
 * @param {ParentNode} page
 * @param {Record<string, Figure>} figures
 * @param {boolean} moving whether a change may be shown by a short glow
 */
export function drawFigures(page, figures, moving) {
  for (const element of page.querySelectorAll("[data-figure]")) {
    const figure = figures[/** @type {HTMLElement} */ (element).dataset.figure ?? ""];
    if (figure) write(/** @type {HTMLElement} */ (element), figure, moving);
  }
}

/**
 * @param {HTMLElement} element
 * @param {Figure} figure
 * @param {boolean} moving
 */
function write(element, { text, title = "", tone }, moving) {
  if (element.title !== title) element.title = title;
  if (element.dataset.tone !== tone) {
    if (tone) element.dataset.tone = tone;
    else delete element.dataset.tone;
  }
  if (element.textContent === text) return;
  const first = !element.textContent;
  element.textContent = text;
  if (moving && !first && element.matches(".number")) {
    element.animate([{ color: "var(--glow)" }, {}], { duration: 1200, easing: "ease-out" });
  }
}

/**
 * @param {HTMLElement} list a definition list
 * @param {{name: string, text: string}[]} facts
 */
export function drawFacts(list, facts) {
  const rows = facts.map(({ name, text }) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = name;
    value.textContent = text;
    row.append(term, value);
    return row;
  });
  list.replaceChildren(...rows);
}

/**
 * @param {ParentNode} page
 * @param {Snapshot} snapshot
 */
export function drawTrends(page, snapshot) {
  const days = finished(snapshot, "month").map((point) => point.sent);
  /** @type {Record<string, (number | null)[]>} */
  const trends = {
    minutes: finished(snapshot, "hour").map(({ sent, received }) => (sent === null ? null : sent + (received ?? 0))),
    hours: finished(snapshot, "day").map((point) => point.sent),
    days,
    growth: growth(days),
    population: (snapshot.population ?? []).map((day) => day.activeAccounts),
  };
  for (const box of page.querySelectorAll("[data-trend]")) {
    drawSparkline(box, trends[/** @type {HTMLElement} */ (box).dataset.trend ?? ""] ?? []);
  }
}

/**
 * @param {Snapshot} snapshot
 * @param {Range} range
 * @returns {Point[]} without a last bucket that is still filling: a trend has no room to say so
 */
function finished(snapshot, range) {
  const points = pointsOf(snapshot, range);
  return isRunning(points, range, snapshot.computedAt) ? points.slice(0, -1) : points;
}

/**
 * @param {(number | null)[]} days
 * @returns {number[]} how far the total had grown at the end of each day
 */
export function growth(days) {
  let sum = 0;
  return days.map((n) => (sum += n ?? 0));
}
