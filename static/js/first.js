/**
 * Draws the figures that came inside the page, and only then has all the rest loaded: the few modules
 * that the first figures need would have to share the browser with the many that they do not.
 */

import { createFormat } from "./format.js";
import { drawOverview } from "./overview.js";
import { part } from "./page.js";

/** @typedef {import("./types.js").Snapshot} Snapshot */

export const format = createFormat();

const text = part("first").textContent;

/** @type {Snapshot | null} */
export const first = text ? JSON.parse(text) : null;

if (first) drawOverview(first, format, false);

// By then the chart's library is there, too.
document.addEventListener("DOMContentLoaded", () => requestAnimationFrame(loadTheRest));

function loadTheRest() {
  for (const address of (document.body.dataset.modules ?? "").split(" ")) {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = address;
    document.head.append(link);
  }
  import("./main.js").catch(() => {
    part("sentence").textContent = "A part of this page is missing: reload it";
    document.documentElement.dataset.figures = "stale";
  });
}
