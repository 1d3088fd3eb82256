/** The page of all accounts: search, order, page on, export. */

import { drawAccounts } from "./account-rows.js";
import { ask } from "./ask.js";
import { download, toCsv } from "./csv.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { part } from "./page.js";
import { showProblem } from "./problem.js";

/** @typedef {import("./types.js").Account} Account */

const PAUSE_MS = 250;
const POLL_MS = 30_000;
const ORDERS = ["-dmUsed", "username"];
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
/** @type {Account[]} */
let accounts = [];
/** @type {string | null} */
let cursor = null;
let complete = true;
/** Whether further pages are shown. */
let paged = false;
/** @type {AbortController | null} */
let asking = null;
/** @type {number | undefined} */
let timer;

/** @param {boolean} further whether to go on from the last account shown */
async function load(further) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const query = new URLSearchParams();
  if (input.value.trim()) query.set("query", input.value.trim());
  if (order) query.set("sort", order);
  const shown = query.toString();
  history.replaceState(null, "", location.pathname + (shown && `?${shown}`));
  if (further && cursor) query.set("cursor", cursor);
  const answer = await ask(`/api/admin/accounts?${query}`, { signal });
  // Something newer was asked meanwhile.
  if (signal.aborted) return;
  showProblem(part("problem"), answer.ok ? null : answer);
  if (!answer.ok) return;
  accounts = further ? [...accounts, ...answer.data.accounts] : answer.data.accounts;
  cursor = answer.data.nextCursor;
  complete = answer.data.complete;
  paged = further;
  draw();
  freshness.touch();
}

/** One page is kept fresh; who has asked for more, or is at a row, is left alone. */
function reload() {
  if (document.hidden || paged || rows.contains(document.activeElement)) return;
  void load(false);
}

function draw() {
  const searching = input.value.trim() !== "";
  drawAccounts(rows, accounts, format, (at) => (Date.now() - Date.parse(at)) / 1000);
  more.hidden = cursor === null;
  part("count").textContent = words(searching);
  const nothing = part("nothing");
  nothing.hidden = accounts.length > 0;
  nothing.textContent = searching
    ? "No account's name or id begins like this."
    : "No accounts yet: each appears with its first message.";
  for (const button of document.querySelectorAll("button[data-order]")) {
    const name = /** @type {HTMLElement} */ (button).dataset.order ?? "";
    const current = name === (order || (searching ? "username" : "-dmUsed"));
    const direction = name.startsWith("-") ? "descending" : "ascending";
    button.closest("th")?.setAttribute("aria-sort", current ? direction : "none");
  }
}

/** @param {boolean} searching */
function words(searching) {
  const n = format.count(accounts.length);
  if (searching && !complete) return `${n} shown of very many; type more to narrow it down`;
  return cursor === null ? `${n} ${searching ? "found" : "in all"}` : `The first ${n}`;
}

input.value = address.get("query") ?? "";
input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = window.setTimeout(load, PAUSE_MS, false);
});
part("search").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  void load(false);
});
more.addEventListener("click", () => void load(true));
for (const button of document.querySelectorAll("button[data-order]")) {
  button.addEventListener("click", () => {
    order = /** @type {HTMLElement} */ (button).dataset.order ?? "";
    void load(false);
  });
}
part("export").addEventListener("click", () => {
  /** @param {Account} account */
  const line = (account) =>
    COLUMNS.map((name) => /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (account))[name]);
  download("accounts.csv", toCsv([[...COLUMNS], ...accounts.map(line)]));
});
void load(false);
setInterval(freshness.tick, 1000);
setInterval(reload, POLL_MS);
document.addEventListener("visibilitychange", reload);
