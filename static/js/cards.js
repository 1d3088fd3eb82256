/** Writes the figures into the tiles, touching only what changed. */

import { isRunning, pointsOf } from "./series.js";
import { drawSparkline } from "./sparkline.js";

/** @typedef {import("./figures.js").Figure} Figure */
/** @typedef {import("./terms.js").Fact} Fact */
/** @typedef {import("./types.js").Point} Point */
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
    if (figure) writeFigure(/** @type {HTMLElement} */ (element), figure, moving);
  }
}

/**
 * @param {HTMLElement} element
 * @param {Figure} figure
 * @param {boolean} [moving]
 */
export function writeFigure(element, { text, exact = "", title = "", tone }, moving = false) {
  if (element.title !== title) element.title = title;
  if (element.dataset.tone !== tone) {
    if (tone) element.dataset.tone = tone;
    else delete element.dataset.tone;
  }
  if (element.textContent === text + exact) return;
  const first = !element.textContent;
  if (exact) element.replaceChildren(part("", text), part("visually-hidden", exact));
  else element.textContent = text;
  if (moving && !first && element.matches(".number")) {
    element.animate([{ color: "var(--glow)" }, {}], { duration: 1200, easing: "ease-out" });
  }
}

/**
 * @param {string} className of text for screen readers only; empty for text that is hidden from them
 * @param {string} text
 */
function part(className, text) {
  const span = document.createElement("span");
  if (className) span.className = className;
  else span.setAttribute("aria-hidden", "true");
  span.textContent = text;
  return span;
}

/**
 * @param {HTMLElement} list a definition list; an explanation that is open stays so
 * @param {Fact[]} facts
 */
export function drawFacts(list, facts) {
  const before = new Map([...list.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.name, row]));
  const rows = facts.map((fact) => {
    const row = before.get(fact.name) ?? rowFor(fact);
    const value = row.querySelector("dd");
    if (value && value.textContent !== fact.text) value.textContent = fact.text;
    if (value) value.title = fact.title ?? "";
    return row;
  });
  const same = rows.length === list.children.length && rows.every((row, i) => row === list.children[i]);
  if (!same) list.replaceChildren(...rows);
}

/** @param {Fact} fact */
function rowFor({ name, about }) {
  const row = document.createElement("div");
  row.dataset.name = name;
  const term = document.createElement("dt");
  if (about) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = name;
    const words = document.createElement("p");
    words.textContent = about;
    details.append(summary, words);
    term.append(details);
  } else term.textContent = name;
  row.append(term, document.createElement("dd"));
  return row;
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
    population: snapshot.population.map((day) => day.activeAccounts),
  };
  for (const box of page.querySelectorAll("[data-trend]")) {
    drawSparkline(box, trends[/** @type {HTMLElement} */ (box).dataset.trend ?? ""] ?? []);
  }
}

/**
 * @param {Snapshot} snapshot
 * @param {Range} range
 * @returns {Point[]} without a last bucket that is still filling, which a trend cannot mark as such
 */
function finished(snapshot, range) {
  const points = pointsOf(snapshot, range);
  return isRunning(points, range, snapshot.computedAt) ? points.slice(0, -1) : points;
}

/**
 * @param {(number | null)[]} days
 * @returns {number[]} the growth of the total until the end of each day
 */
export function growth(days) {
  let sum = 0;
  return days.map((n) => (sum += n ?? 0));
}
