/** Shows what went wrong, in the page's place for it. */

/** @typedef {Extract<import("./ask.js").Answer, {ok: false}>} Failure */

/**
 * @param {HTMLElement} place with role=alert
 * @param {Failure | null} failure null: all is well again
 */
export function showProblem(place, failure) {
  place.hidden = failure === null;
  place.textContent = failure?.sentence ?? "";
  if (failure?.status !== 401) return;
  const link = document.createElement("a");
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Sign in again";
  place.append(" ", link);
}
