/** The part of a snapshot that is drawn first: whether there is something at all, tiles and events. */

import { drawFacts, drawFigures, drawTrends } from "./cards.js";
import { figuresOf, isEmpty } from "./figures.js";
import { byId } from "./page.js";
import { otherEvents } from "./terms.js";

/** @typedef {import("./format.js").Format} Format */
/** @typedef {import("./types.js").Snapshot} Snapshot */

/**
 * @param {Snapshot} snapshot
 * @param {Format} format
 * @param {boolean} moving whether a change may be shown by a short glow
 */
export function drawOverview(snapshot, format, moving) {
  const root = document.documentElement;
  root.dataset.filled = isEmpty(snapshot) ? "empty" : "yes";
  byId("welcome").hidden = !isEmpty(snapshot);
  drawFigures(document, figuresOf(snapshot, format), moving);
  const others = otherEvents(snapshot.events, format);
  byId("others-panel").hidden = others.length === 0;
  drawFacts(byId("others"), others);
  drawTrends(document, snapshot);
  root.dataset.version = snapshot.version;
}
