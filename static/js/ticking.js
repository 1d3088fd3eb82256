/** The running times on the page: "3s ago" becomes "4s ago". */

/** @typedef {import("./types.js").Snapshot} Snapshot */
/** With millions of DMs a day a check takes about an hour. */
const OVERDUE_SECONDS = 3 * 3600;
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
      lastEventAt ? `${format.duration(age.of(lastEventAt))} ago` : lastEventAt === null ? "none yet" : "unknown",
      lastEventAt ? format.utc(lastEventAt) : "",
    );
  const line = page.getElementById("audit");
  if (line) {
    const state = auditState(audit, age);
    if (line.dataset.drift !== state) line.dataset.drift = state;
    put(line, auditWords(audit, age, format), audit ? format.utc(audit.at) : "");
    const help = page.getElementById("drift-help");
    if (help) help.hidden = state !== "yes";
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
  if (!audit) return "Not checked against the ledger yet";
  const when = `checked ${format.duration(age.of(audit.at))} ago`;
  if (audit.drift === null) return `Result of the last check unknown, ${when}`;
  if (audit.drift) return `Counters differ from the ledger by ${format.count(Math.abs(audit.drift))}, ${when}`;
  const next = age.of(audit.at) > OVERDUE_SECONDS ? "; the next check is overdue" : "";
  return `All counters match the ledger, ${when}${next}`;
}

/**
 * @param {Snapshot["audit"]} audit
 * @param {Age} age
 * @returns {"yes" | "no" | "unknown"} whether the counters are known to differ from the ledger; a check of
 * hours ago says nothing about now
 */
function auditState(audit, age) {
  if (!audit || audit.drift === null) return "unknown";
  if (audit.drift) return "yes";
  return age.of(audit.at) > OVERDUE_SECONDS ? "unknown" : "no";
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
  if (countedMs === null || shownMs === null) return `${when}, not shown yet`;
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
