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
  if (!/^[A-Za-z0-9-]+$/.test(navigator.language)) {
    // Chromium in the POSIX locale says "en-US@posix". uPlot passes it to Intl when it loads.
    Object.defineProperty(navigator, "language", { configurable: true, value: "en-US" });
  }
})();
