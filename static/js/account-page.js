/** The page of one account. */

import { limitOf, nameOf } from "./accounts.js";
import { ask } from "./ask.js";
import { drawFigures } from "./cards.js";
import { createFormat } from "./format.js";
import { paceOf } from "./pace.js";
import { part } from "./page.js";
import { showProblem } from "./problem.js";

/** @typedef {import("./types.js").Account & {currentMonth: string, createdAt: string | null, dmReceived: number, lastDMReceived: string | null}} Details */
/** @typedef {import("./figures.js").Figure} Figure */

const POLL_MS = 30_000;
const STALE_SECONDS = 75;
const format = createFormat();
let loadedAt = 0;

async function load() {
  const id = document.body.dataset.account ?? "";
  const answer = await ask(`/api/admin/accounts/${encodeURIComponent(id)}`);
  showProblem(part("problem"), answer.ok ? null : answer);
  part("counters").hidden = !answer.ok && !part("name").dataset.known;
  if (!answer.ok) return;
  loadedAt = Date.now();
  draw(answer.data);
  tick();
}

/** The figures' age; too old, they look it. */
function tick() {
  if (!loadedAt) return;
  const seconds = (Date.now() - loadedAt) / 1000;
  part("age").textContent = `Updated ${format.duration(seconds)} ago`;
  document.documentElement.dataset.figures = seconds > STALE_SECONDS ? "stale" : "fresh";
}

/** @param {Details} account */
function draw(account) {
  const name = part("name");
  name.textContent = nameOf(account);
  name.dataset.known = "";
  document.title = `${nameOf(account)} · dmstats`;
  const since = account.createdAt ? `, since ${format.date(account.createdAt)}` : "";
  part("about").textContent = `${account.instagramId}, ${account.isActive ? "active" : "not active"}${since}`;
  const gauge = part("gauge");
  const limit = limitOf(account);
  gauge.hidden = limit === null;
  if (limit) {
    gauge.dataset.level = limit.level;
    gauge.style.setProperty("--share", String(Math.min(1, limit.share)));
  }
  drawFigures(document, figuresOf(account), false);
}

/**
 * @param {Details} account
 * @returns {Record<string, Figure>}
 */
function figuresOf(account) {
  const limit = limitOf(account);
  return {
    month: { text: format.month(account.currentMonth), title: "Months begin at 00:00 UTC on the 1st" },
    monthly: { text: format.count(account.monthlyDmUsed) },
    limit: limit
      ? {
          text: `${format.share(limit.share)} of ${format.count(account.monthlyDmLimit ?? 0)}`,
          tone: limit.level === "fine" ? undefined : "warn",
        }
      : { text: "No monthly limit" },
    pace: pace(account),
    sent: { text: format.count(account.dmUsed) },
    received: { text: format.count(account.dmReceived) },
    "last-sent": moment(account.lastDMSent),
    "last-received": moment(account.lastDMReceived),
  };
}

/**
 * @param {Details} account
 * @returns {Figure}
 */
function pace(account) {
  const found = paceOf(account, Date.now());
  if (!found) return { text: "Too early to tell this month's pace" };
  const perDay = `${format.count(found.perDay)} a day`;
  if (limitOf(account)?.level === "over") return { text: `${perDay}; the limit is used up`, tone: "warn" };
  if (found.reachedAt) {
    return {
      text: `${perDay}; the limit is reached on ${format.moment(found.reachedAt)}`,
      title: format.utc(found.reachedAt),
      tone: "warn",
    };
  }
  const lasts = account.monthlyDmLimit ? "; the limit lasts" : "";
  return { text: `${perDay}, ${format.count(found.expected)} by the month's end${lasts}` };
}

/**
 * @param {string | null | undefined} at
 * @returns {Figure}
 */
function moment(at) {
  return at ? { text: `Last ${format.moment(at)}`, title: format.utc(at) } : { text: "None yet" };
}

void load();
setInterval(tick, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void load();
});
setInterval(() => {
  if (!document.hidden) void load();
}, POLL_MS);
