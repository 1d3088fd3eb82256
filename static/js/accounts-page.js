/** The page of all accounts: search, order, page on, export. */

import { wireImport } from "./account-import.js";
import { drawAccounts } from "./account-rows.js";
import { ask } from "./ask.js";
import { download, idCell, toCsv } from "./csv.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { part } from "./page.js";
import { showProblem } from "./problem.js";
import { wireTheme } from "./theme.js";
import { accountsFrom } from "./wire.js";

/** @typedef {import("./types.js").Account} Account */
/** @typedef {Extract<import("./ask.js").Answer, {ok: false}>} Failure */
/** @typedef {{accounts: Account[], nextCursor: string | null, complete: boolean}} Page */

const PAUSE_MS = 250;
const POLL_MS = 30_000;
const PAGE = 50;
/** The most that one answer has. */
const LARGEST = 200;
const ORDERS = ["-dmUsed", "dmUsed", "username", "-username"];
const COLUMNS = /** @type {const} */ ([
  "instagramId",
  "username",
  "isActive",
  "monthlyDmUsed",
  "monthlyDmLimit",
  "dmUsed",
  "dmReceived",
  "lastDMSent",
  "lastDMReceived",
]);

const format = createFormat();
const freshness = createFreshness(part("age"), document.documentElement, format, () => Date.now());
const input = part("query", HTMLInputElement);
const rows = part("rows", HTMLTableSectionElement);
const more = part("more", HTMLButtonElement);
const address = new URLSearchParams(location.search);

let order = ORDERS.find((name) => name === address.get("sort")) ?? "";
/** @type {Page} */
let shown = { accounts: [], nextCursor: null, complete: true };
/** @type {AbortController | null} */
let asking = null;
/** @type {number | undefined} */
let timer;

/** @returns {URLSearchParams} what is searched for, in which order */
function wanted() {
  const query = new URLSearchParams();
  if (input.value.trim()) query.set("query", input.value.trim());
  if (order) query.set("sort", order);
  return query;
}

/**
 * @param {URLSearchParams} query
 * @param {Page} start goes on from there
 * @param {number} most how many there may be in all
 * @param {AbortSignal} signal
 * @param {(n: number) => void} [onProgress]
 * @returns {Promise<Page | Failure>} `start` and what follows; the first failure ends it
 */
async function fetchUpTo(query, start, most, signal, onProgress = () => {}) {
  let page = start;
  do {
    const next = new URLSearchParams(query);
    next.set("limit", String(Math.min(LARGEST, most - page.accounts.length)));
    if (page.nextCursor) next.set("cursor", page.nextCursor);
    const answer = await ask(`/api/admin/accounts?${next}`, { signal });
    if (!answer.ok) return answer;
    const found = accountsFrom(answer.data);
    page = { ...found, accounts: [...page.accounts, ...found.accounts], complete: page.complete && found.complete };
    onProgress(page.accounts.length);
    // Guards against a server that answers empty pages for ever.
    if (!found.accounts.length) break;
  } while (page.nextCursor && page.accounts.length < most);
  return page;
}

/**
 * Load the rows anew, or those that follow.
 * @param {Page} start
 * @param {number} most
 */
async function load(start, most) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const query = wanted();
  const search = query.toString();
  history.replaceState(null, "", location.pathname + (search && `?${search}`));
  const answer = await fetchUpTo(query, start, most, signal);
  // Something newer was asked meanwhile.
  if (signal.aborted) return;
  asking = null;
  showProblem(part("problem"), "ok" in answer ? answer : null);
  if ("ok" in answer) return;
  shown = answer;
  draw();
  freshness.touch();
}

/** From the beginning. */
function restart() {
  void load({ accounts: [], nextCursor: null, complete: true }, PAGE);
}

/** Reload as many rows as are shown, unless the reader has the focus in one of them. */
function reload() {
  if (document.hidden || asking || rows.contains(document.activeElement)) return;
  void load({ accounts: [], nextCursor: null, complete: true }, Math.max(PAGE, shown.accounts.length));
}

function draw() {
  const searching = input.value.trim() !== "";
  const { accounts, nextCursor } = shown;
  drawAccounts(rows, accounts, format, (at) => (Date.now() - Date.parse(at)) / 1000);
  more.hidden = nextCursor === null;
  part("count").textContent = words(searching);
  const nothing = part("nothing");
  nothing.hidden = accounts.length > 0;
  nothing.textContent = searching
    ? "No account has a name or id that begins with this."
    : "No accounts yet. Each account appears with its first message.";
  const current = order || (searching ? "username" : "-dmUsed");
  for (const button of document.querySelectorAll("button[data-order]")) {
    const field = fieldOf(button);
    const up = field === current ? "ascending" : "none";
    button.closest("th")?.setAttribute("aria-sort", `-${field}` === current ? "descending" : up);
  }
}

/** @param {Element} button */
function fieldOf(button) {
  return (/** @type {HTMLElement} */ (button).dataset.order ?? "").replace("-", "");
}

/** @param {boolean} searching */
function words(searching) {
  const n = format.count(shown.accounts.length);
  if (!shown.complete) return `${n} of too many to search; type more to narrow it down`;
  return shown.nextCursor === null ? `${n} ${searching ? "found" : "in all"}` : `Showing the first ${n}`;
}

/** Save all accounts that match the search, loaded page by page. */
async function exportAll() {
  const button = part("export", HTMLButtonElement);
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  const label = part("export-label");
  const usual = label.textContent;
  const none = { accounts: [], nextCursor: null, complete: true };
  const answer = await fetchUpTo(wanted(), none, Infinity, new AbortController().signal, (n) => {
    label.textContent = `${format.count(n)} loaded`;
  });
  label.textContent = usual;
  button.setAttribute("aria-disabled", "false");
  showProblem(part("problem"), "ok" in answer ? answer : null);
  if ("ok" in answer) return;
  download(`dmstats-accounts-${new Date().toISOString().slice(0, 10)}.csv`, csvOf(answer.accounts));
  part("exported").textContent = answer.complete
    ? `${format.count(answer.accounts.length)} accounts saved.`
    : `${format.count(answer.accounts.length)} accounts saved; there are more than a search finds.`;
}

/** @param {Account[]} accounts */
function csvOf(accounts) {
  /** @param {Account} account */
  const line = (account) => COLUMNS.map((name) => (name === "instagramId" ? idCell(account[name]) : account[name]));
  return toCsv([[...COLUMNS], ...accounts.map(line)]);
}

input.value = address.get("query") ?? "";
input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = window.setTimeout(restart, PAUSE_MS);
});
part("search").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  restart();
});
more.addEventListener("click", () => void load(shown, shown.accounts.length + PAGE));
for (const button of document.querySelectorAll("button[data-order]")) {
  button.addEventListener("click", () => {
    const usual = /** @type {HTMLElement} */ (button).dataset.order ?? "";
    const field = fieldOf(button);
    const sorted = button.closest("th")?.getAttribute("aria-sort") ?? "none";
    if (sorted === "none") order = usual;
    else order = sorted === "descending" ? field : `-${field}`;
    restart();
  });
}
part("export").addEventListener("click", () => void exportAll());
wireImport(format, restart);
wireTheme();
restart();
setInterval(freshness.tick, 1000);
setInterval(reload, POLL_MS);
document.addEventListener("visibilitychange", reload);
