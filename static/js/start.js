/**
 * Has everything else loaded once the page was painted: it can be read without scripts, and these would
 * have to share the browser with its first frame.
 */

const LONGEST_MS = 1000;
let begun = false;

async function begin() {
  if (begun) return;
  begun = true;
  const { modules = "", chart = "" } = document.body.dataset;
  for (const address of modules.split(" ")) {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = address;
    document.head.append(link);
  }
  try {
    await run(chart);
    await import("./main.js");
  } catch (error) {
    const root = document.documentElement;
    root.dataset.figures = "stale";
    const sentence = document.getElementById("sentence");
    if (sentence) sentence.textContent = wordsFor(error);
    console.info(error);
  }
}

/**
 * @param {unknown} error
 * @returns {string} what the reader can do about it
 */
function wordsFor(error) {
  if (error instanceof SyntaxError) return "This browser is too old for live updates. Please update it.";
  return "A part of this page could not be loaded. Please reload it.";
}

/**
 * @param {string} address of a script that is no module
 * @returns {Promise<unknown>} settled once it has run
 */
function run(address) {
  const script = document.createElement("script");
  script.src = address;
  return new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

// A hidden tab paints no frame.
if (document.hidden) begin();
else {
  // First, because some privacy extensions take the observer away.
  setTimeout(begin, LONGEST_MS);
  new PerformanceObserver(begin).observe({ type: "paint", buffered: true });
}
