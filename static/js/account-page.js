/** The page of one account. */

import { createActivity } from "./account-activity.js";
import { limitOf, nameOf } from "./accounts.js";
import { ask } from "./ask.js";
import { drawFigures } from "./cards.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { hourPaceOf, paceOf } from "./pace.js";
import { part } from "./page.js";
import { showProblem } from "./problem.js";

/** @typedef {import("./types.js").Account & {currentMonth: string, createdAt: string | null, dmReceived: number, lastDMReceived: string | null}} Details */
/** @typedef {import("./figures.js").Figure} Figure */
/** @typedef {import("./types.js").Activity} Activity */

const POLL_MS = 30_000;
const format = createFormat();
const freshness = createFreshness(part("age"), document.documentElement, format, () => Date.now());
const activity = createActivity(format);

async function load() {
  const url = `/api/admin/accounts/${encodeURIComponent(document.body.dataset.account ?? "")}`;
  const [answer, lately] = await Promise.all([ask(url), ask(`${url}/activity`)]);
  const failed = [answer, lately].find((each) => !each.ok);
  showProblem(part("problem"), failed ?? null);
  part("counters").hidden = !answer.ok && !part("name").dataset.known;
  if (answer.ok) draw(answer.data);
  if (lately.ok) {
    activity.show(lately.data);
    drawHour(lately.data);
  }
  if (!failed) freshness.touch();
}

/** @param {Details} account */
function draw(account) {
  const name = part("name");
  name.textContent = nameOf(account);
  name.dataset.known = "";
  document.title = `${nameOf(account)} · dmstats`;
  const since = account.createdAt ? `, since ${format.date(account.createdAt)}` : "";
  const about = `${account.isActive ? "active" : "not active"}${since}`;
  part("about").textContent = account.username ? `${account.instagramId}, ${about}` : about;
  drawGauge(part("gauge"), limitOf(account));
  drawFigures(document, figuresOf(account), false);
}

/**
 * @param {HTMLElement} gauge
 * @param {ReturnType<typeof limitOf>} limit
 */
function drawGauge(gauge, limit) {
  gauge.hidden = limit === null;
  if (!limit) return;
  gauge.dataset.level = limit.level;
  gauge.style.setProperty("--share", String(Math.min(1, limit.share)));
}

/** @param {Activity} lately */
function drawHour(lately) {
  const pace = hourPaceOf(lately);
  const limit = pace && limitOf({ monthlyDmUsed: pace.sent, monthlyDmLimit: lately.hourlyDmLimit });
  drawGauge(part("hour-gauge"), limit);
  drawFigures(document, hourFigures(lately, pace, limit), false);
}

/**
 * @param {Activity} lately
 * @param {ReturnType<typeof hourPaceOf>} pace
 * @param {ReturnType<typeof limitOf>} limit
 * @returns {Record<string, Figure>}
 */
function hourFigures(lately, pace, limit) {
  if (!pace) {
    const why = lately.at ? "No full hour was counted yet" : "Known after the first check of the ledger";
    return { hour: { text: "" }, hourly: { text: "–" }, "hour-limit": { text: why }, "hour-pace": { text: "" } };
  }
  return {
    hour: { text: `from ${format.time(pace.last.at)}`, title: `The last full hour, ${format.utc(pace.last.at)}` },
    hourly: { text: format.count(pace.sent) },
    "hour-limit": limit ? limitFigure(limit, lately.hourlyDmLimit) : { text: "No hourly limit" },
    "hour-pace": runningHour(pace, lately.at ?? ""),
  };
}

/**
 * @param {NonNullable<ReturnType<typeof hourPaceOf>>} pace
 * @param {string} at
 * @returns {Figure}
 */
function runningHour({ soFar, expected, reachedAt }, at) {
  const so = `${format.count(soFar)} this hour by ${format.time(at)}`;
  if (reachedAt) return { text: `${so}; the limit is reached at ${format.time(reachedAt)}`, tone: "warn" };
  return { text: expected === null ? so : `${so}, ${format.count(expected)} at this pace` };
}

/**
 * @param {NonNullable<ReturnType<typeof limitOf>>} limit
 * @param {number | null | undefined} most
 * @returns {Figure}
 */
function limitFigure({ share, level }, most) {
  return { text: `${format.share(share)} of ${format.count(most ?? 0)}`, tone: level === "fine" ? undefined : "warn" };
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
    limit: limit ? limitFigure(limit, account.monthlyDmLimit) : { text: "No monthly limit" },
    pace: monthPace(account),
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
function monthPace(account) {
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
setInterval(() => {
  freshness.tick();
  activity.tick();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void load();
});
setInterval(() => {
  if (!document.hidden) void load();
}, POLL_MS);
