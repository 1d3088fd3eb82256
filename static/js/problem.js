/** Shows an error message in the page's element for it. */

import { base } from "./base.js";

/** @typedef {Extract<import("./ask.js").Answer, {ok: false}>} Failure */

/**
 * @param {HTMLElement} place with role=alert
 * @param {Failure | null} failure null: no error
 */
export function showProblem(place, failure) {
  place.hidden = failure === null;
  place.textContent = failure?.sentence ?? "";
  if (failure?.status !== 401) return;
  const link = document.createElement("a");
  const here = location.pathname.slice(base.length) + location.search;
  link.href = `${base}/login?next=${encodeURIComponent(here)}`;
  link.textContent = "Sign in again";
  place.append(" ", link);
}
