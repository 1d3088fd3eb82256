/** The times on the page that run: "3s ago" becomes "4s ago". */

/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {import("./format.js").Format} Format */
/** @typedef {ReturnType<typeof import("./age.js").createAge>} Age */

/**
 * @param {Document} page
 * @param {Snapshot | null} snapshot
 * @param {Age} age
 * @param {Format} format
 */
export function drawTimes(page, snapshot, age, format) {
  for (const element of page.querySelectorAll("[data-ago]")) {
    const at = /** @type {HTMLElement} */ (element).dataset.ago;
    if (at) put(element, `${format.duration(age.of(at))} ago`, element.getAttribute("title") ?? "");
  }
  if (!snapshot) return;
  const { lastEventAt, audit, canary } = snapshot;
  const last = page.getElementById("last-event");
  if (last)
    put(
      last,
      lastEventAt ? `${format.duration(age.of(lastEventAt))} ago` : "none yet",
      lastEventAt ? format.utc(lastEventAt) : "",
    );
  const line = page.getElementById("audit");
  if (line) {
    line.dataset.drift = audit ? (audit.drift ? "yes" : "no") : "unknown";
    put(line, auditWords(audit, age, format), audit ? format.utc(audit.at) : "");
  }
  const test = page.getElementById("canary");
  if (test) {
    put(test, canary ? canaryWords(canary, age, format) : "", canary ? format.utc(canary.at) : "");
    if (test.parentElement) test.parentElement.hidden = !canary;
  }
}

/**
 * @param {Snapshot["audit"]} audit
 * @param {Age} age
 * @param {Format} format
 */
function auditWords(audit, age, format) {
  if (!audit) return "Not yet verified against the ledger";
  const when = `${format.duration(age.of(audit.at))} ago`;
  return audit.drift ? `Verified ${when}: off by ${format.count(Math.abs(audit.drift))}` : `Verified ${when}, drift 0`;
}

/**
 * @param {import("./types.js").Canary} canary
 * @param {Age} age
 * @param {Format} format
 * @returns {string} how long a test event takes to be counted, and to be on this page
 */
export function canaryWords(canary, age, format) {
  const { at, countedMs, shownMs } = canary;
  const when = `${format.duration(age.of(at))} ago`;
  if (countedMs === null || shownMs === null) return `${when}, none shown yet`;
  return `${when}, counted in ${format.count(Math.round(countedMs))} ms, shown in ${format.duration(shownMs / 1000)}`;
}

/**
 * @param {Element} element
 * @param {string} text
 * @param {string} title
 */
function put(element, text, title) {
  if (element.textContent !== text) element.textContent = text;
  if (element.getAttribute("title") !== title) element.setAttribute("title", title);
}
