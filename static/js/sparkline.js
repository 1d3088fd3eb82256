/** A trend as a small SVG line. */

import { isolatedIndexes } from "./series.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 32;
const INSET = 1.5;

/**
 * @param {(number | null)[]} values oldest first
 * @returns {string} the path's `d` in a box of 120 by 32; a null lifts the pen, and one value is no trend
 */
export function linePath(values) {
  if (values.length < 2) return "";
  const top = Math.max(1, ...values.map((value) => value ?? 0));
  const across = WIDTH / (values.length - 1);
  let path = "";
  let down = false;
  const alone = new Set(isolatedIndexes(values));
  values.forEach((value, i) => {
    if (value === null) {
      down = false;
      return;
    }
    const y = HEIGHT - INSET - (value / top) * (HEIGHT - 2 * INSET);
    path += `${down ? "L" : "M"}${round(i * across)} ${round(y)}`;
    if (alone.has(i)) path += "h0";
    down = true;
  });
  return path;
}

/** @param {number} n */
function round(n) {
  return Math.round(n * 10) / 10;
}

/**
 * Draw or redraw in `box`.
 * @param {Element} box
 * @param {(number | null)[]} values
 */
export function drawSparkline(box, values) {
  let path = box.querySelector("path");
  if (!path) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    path = document.createElementNS(SVG, "path");
    svg.append(path);
    box.append(svg);
  }
  const line = linePath(values);
  path.setAttribute("d", line);
  box.toggleAttribute("data-empty", !line);
}
