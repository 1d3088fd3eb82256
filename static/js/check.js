/** Shows a notice in browsers that are too old. A classic script in old syntax, so that they can run it. */

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
})();
