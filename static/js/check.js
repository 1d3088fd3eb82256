/**
 * Shows a notice in browsers that are too old, and replaces a language that Intl refuses. A classic script in old
 * syntax, so that old browsers can run it.
 */

(function () {
  "use strict";
  const current =
    "noModule" in HTMLScriptElement.prototype &&
    typeof Array.prototype.at === "function" &&
    typeof Object.hasOwn === "function" &&
    typeof ResizeObserver === "function" &&
    typeof AbortController === "function" &&
    typeof EventSource === "function";
  const place = document.getElementById("too-old");
  if (place) place.hidden = current;
  try {
    new Intl.NumberFormat(navigator.language);
  } catch (error) {
    console.info(error);
    // In the POSIX locale it may be "en-US@posix" or "C". uPlot passes it to Intl when it loads.
    Object.defineProperty(navigator, "language", { configurable: true, value: "en-US" });
  }
})();
