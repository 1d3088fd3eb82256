/** What surrounds every page: the choice of colours, and the bar with the pages. */

import { wireTheme } from "./theme.js";

/** Wire it, and bring the current page's name into view: on a phone the bar is too narrow for all of them. */
export function wireShell() {
  wireTheme();
  const here = /** @type {HTMLElement | null} */ (document.querySelector(".top nav [aria-current]"));
  const bar = here?.parentElement;
  if (!here || !bar) return;
  // Also when the phone is turned.
  new ResizeObserver(() => {
    bar.scrollLeft = here.offsetLeft - bar.offsetLeft - (bar.clientWidth - here.offsetWidth) / 2;
  }).observe(bar);
}
