/** The page of all accounts: search, filters, order and paging. */

import { wireImport } from "./account-import.js";
import { drawAccounts, timeAgo } from "./account-rows.js";
import { ask } from "./ask.js";
import { base } from "./base.js";
import { ageOf, now } from "./clock.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";
import { wireShell } from "./shell.js";
import { accountsFrom } from "./wire/accounts.js";

/** @typedef {import("./types.js").Account} Account */
/** @typedef {Extract<import("./ask.js").Answer, {ok: false}>} Failure */
/** @typedef {ReturnType<typeof accountsFrom>} Page */

const PAUSE_MS = 250;
const POLL_MS = 30_000;
const PAGE = 50;
/** The maximum number of accounts in one answer. */
const LARGEST = 200;
/** Sorted by these, a narrow table shows the month. */
const NARROW = "monthlyDmUsed";
/** These come from the accounts themselves, all others from their states. */
const PLAIN = ["dmUsed", "username"];
const STATES_LATER =
  "This list is not available: the database does not answer, or the accounts' states are not known yet, which takes a few minutes after the service starts.";
/** @type {Page} */
const NOTHING = { accounts: [], nextCursor: null, complete: true, totals: null };

const format = createFormat();
const freshness = createFreshness(byId("age"), document.documentElement, format, now);
const input = byId("query", HTMLInputElement);
const rows = byId("rows", HTMLTableSectionElement);
const more = byId("more", HTMLButtonElement);
const sorts = byId("sort", HTMLSelectElement);
/** @type {HTMLSelectElement[]} by the names of the API's parameters */
const filters = ["state", "active", "hasLimit"].map((name) => byId(name, HTMLSelectElement));
const address = new URLSearchParams(location.search);

let order = address.get("sort") ?? "";
let shown = NOTHING;
/** @type {AbortController | null} */
let asking = null;
/** @type {number | undefined} */
let timer;

/** @returns {URLSearchParams} the search, filters and order */
function listQuery() {
  const query = new URLSearchParams();
  if (input.value.trim()) query.set("query", input.value.trim());
  if (order) query.set("sort", order);
  for (const { name, value } of filters) if (value) query.set(name, value);
  return query;
}

/**
 * @param {URLSearchParams} query
 * @param {Page} start goes on from there
 * @param {number} most how many there may be in all
 * @param {AbortSignal} signal
 * @returns {Promise<Page | Failure>} `start` and what follows; the first failure ends it
 */
async function fetchUpTo(query, start, most, signal) {
  let page = start;
  do {
    const next = new URLSearchParams(query);
    next.set("limit", String(Math.min(LARGEST, most - page.accounts.length)));
    if (page.nextCursor) next.set("cursor", page.nextCursor);
    const answer = await ask(`/api/admin/accounts?${next}`, { signal });
    if (!answer.ok) return answer;
    const found = accountsFrom(answer.data);
    page = { ...found, accounts: [...page.accounts, ...found.accounts], complete: page.complete && found.complete };
    // Guards against a server that answers empty pages for ever.
    if (!found.accounts.length) break;
  } while (page.nextCursor && page.accounts.length < most);
  return page;
}

/**
 * Load the first rows, or more rows.
 * @param {Page} start
 * @param {number} most
 */
async function load(start, most) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const query = listQuery();
  const search = query.toString();
  history.replaceState(null, "", location.pathname + (search && `?${search}`));
  drawExports();
  const answer = await fetchUpTo(query, start, most, signal);
  // A newer request was sent in the meantime.
  if (signal.aborted) return;
  asking = null;
  showProblem(byId("problem"), "ok" in answer ? explained(answer) : null);
  if ("ok" in answer) return;
  shown = answer;
  draw();
  freshness.touch();
}

/** @param {Failure} failure */
function explained(failure) {
  const byStates = filters.some(({ value }) => value) || !PLAIN.includes(order.replace("-", "") || "dmUsed");
  return failure.status === 503 && byStates ? { ...failure, sentence: STATES_LATER } : failure;
}

/** From the beginning. */
function restart() {
  void load(NOTHING, PAGE);
}

/** Reload as many rows as are shown, unless one of them has the focus. */
function reload() {
  if (document.hidden || asking || rows.contains(document.activeElement)) return;
  void load(NOTHING, Math.max(PAGE, shown.accounts.length));
}

function draw() {
  const searching = input.value.trim() !== "";
  const filtered = filters.some(({ value }) => value);
  const { accounts, nextCursor } = shown;
  drawAccounts(rows, accounts, format, ageOf, { whole: true });
  more.hidden = nextCursor === null;
  byId("count").textContent = words(searching || filtered);
  const nothing = byId("nothing");
  nothing.hidden = accounts.length > 0;
  nothing.textContent = filtered
    ? "No accounts match."
    : searching
      ? "No account name contains this, and no id starts with it."
      : "No accounts yet. Each account appears with its first message.";
  drawOrder(order || (searching ? "username" : "-dmUsed"));
  drawTotals();
}

/** @param {string} current */
function drawOrder(current) {
  const field = current.replace("-", "");
  for (const button of document.querySelectorAll("button[data-order]")) {
    const up = field === current ? "ascending" : "descending";
    button.closest("th")?.setAttribute("aria-sort", fieldOf(button) === field ? up : "none");
  }
  const column = document.querySelector(`th:not(:first-child) button[data-order$="${CSS.escape(field)}"]`);
  byId("table", HTMLTableElement).dataset.sorted = column ? field : NARROW;
  if (![...sorts.options].some(({ value }) => value === current)) {
    sorts.add(new Option(`${field}, ${field === current ? "upwards" : "downwards"}`, current));
  }
  sorts.value = current;
}

function drawTotals() {
  const place = byId("totals");
  const totals = shown.totals;
  place.hidden = totals === null || shown.accounts.length === 0;
  if (!totals) return;
  const { at, accounts, monthlyDmUsed, dmUsed, dmReceived } = totals;
  const month = monthlyDmUsed === null ? "" : `${format.brief(monthlyDmUsed)} sent this month, `;
  place.textContent = `${format.count(accounts)} ${accounts === 1 ? "account" : "accounts"}: ${month}${format.brief(dmUsed)} sent and ${format.brief(dmReceived)} received in total`;
  // The background job computes the sums: they may be older than the rows, and not have new accounts yet.
  if (at) place.append(", as of ", timeAgo(at, format, ageOf));
}

function drawExports() {
  const query = listQuery();
  query.delete("sort");
  for (const kind of ["csv", "json"]) {
    query.set("format", kind);
    byId(kind, HTMLAnchorElement).href = `${base}/api/admin/accounts/export?${query}`;
  }
}

/** @param {Element} button */
function fieldOf(button) {
  return (/** @type {HTMLElement} */ (button).dataset.order ?? "").replace("-", "");
}

/** @param {boolean} narrowed */
function words(narrowed) {
  const n = format.count(shown.accounts.length);
  if (!shown.complete) return `${n} of too many matches; type more to narrow the search`;
  return shown.nextCursor === null ? `${n} ${narrowed ? "found" : "in total"}` : `Showing the first ${n}`;
}

input.value = address.get("query") ?? "";
for (const filter of filters) {
  filter.value = address.get(filter.name) ?? "";
  filter.addEventListener("change", restart);
}
input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = window.setTimeout(restart, PAUSE_MS);
});
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  restart();
});
sorts.addEventListener("change", () => {
  order = sorts.value;
  restart();
});
more.addEventListener("click", () => void load(shown, shown.accounts.length + PAGE));
for (const button of document.querySelectorAll("button[data-order]")) {
  button.addEventListener("click", () => {
    const usual = /** @type {HTMLElement} */ (button).dataset.order ?? "";
    const field = fieldOf(button);
    // Use the last requested order, not the one in the table: the answer may not have arrived yet.
    const sorted = button.closest("th")?.getAttribute("aria-sort") ?? "none";
    const chosen = order || (sorted === "none" ? "" : sorted === "descending" ? `-${field}` : field);
    if (chosen === field) order = `-${field}`;
    else order = chosen === `-${field}` ? field : usual;
    restart();
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target instanceof Element && event.target.matches("input, select, textarea")) return;
  event.preventDefault();
  input.focus();
});
wireImport(format, restart);
wireShell();
restart();
setInterval(freshness.tick, 1000);
setInterval(reload, POLL_MS);
document.addEventListener("visibilitychange", reload);
