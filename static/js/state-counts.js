/** How many accounts are in which state, each with a link to them. */

import { countsOf, listOf } from "./account-states.js";

/**
 * @param {HTMLElement} place is hidden while there is nothing to say
 * @param {import("./types.js").Snapshot["accountStates"]} states
 * @param {import("./format.js").Format} format
 */
export function drawStateCounts(place, states, format) {
  const counts = countsOf(states, format);
  place.hidden = counts.length === 0;
  const text = counts.map((each) => each.text).join();
  // The reader may have the focus in one of them.
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  place.replaceChildren(
    ...counts.map(({ state, text: words, tone }) => {
      const link = document.createElement("a");
      link.href = listOf(state);
      link.textContent = words;
      link.dataset.tone = tone;
      return link;
    }),
  );
}
