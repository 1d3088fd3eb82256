/** The number of accounts in each state, linked to the list. */

import { countsOf, listOf } from "./account-states.js";

/**
 * @param {HTMLElement} place hidden while there is nothing to show
 * @param {import("./types.js").Snapshot["accountStates"]} states
 * @param {import("./format.js").Format} format
 */
export function drawStateCounts(place, states, format) {
  const counts = countsOf(states, format);
  place.hidden = counts.length === 0;
  const text = counts.map((each) => each.text).join();
  // Keep the links, because one of them may have the focus.
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
