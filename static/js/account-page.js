/** The page of one account. */

import { createActivity } from "./account-activity.js";
import { createEdit } from "./account-edit.js";
import { sentencesOf } from "./account-states.js";
import { limitOf, nameOf, shareText } from "./accounts.js";
import { ask } from "./ask.js";
import { drawFigures } from "./cards.js";
import { ageOf, now } from "./clock.js";
import { counted } from "./figures.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { dayRow, lostFrom } from "./lost.js";
import { hourPaceOf, paceOf } from "./pace.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";
import { wireShell } from "./shell.js";
import { accountFrom, activityFrom, marksFrom } from "./wire/accounts.js";
import { asLabel } from "./wire/values.js";

/** @typedef {import("./types.js").Account} Account */
/** @typedef {import("./figures.js").Figure} Figure */
/** @typedef {import("./types.js").Activity} Activity */

const POLL_MS = 30_000;
const format = createFormat();
const freshness = createFreshness(byId("age"), document.documentElement, format, now);
const url = `/api/admin/accounts/${encodeURIComponent(document.body.dataset.account ?? "")}`;
const activity = createActivity(format, `${url}/history`);
const showInForm = createEdit(url, draw);

async function load() {
  const [answer, lately, lost] = await Promise.all([ask(url), ask(`${url}/activity`), ask(`${url}/lost`)]);
  const failed = [answer, lately, lost].find((each) => !each.ok);
  showProblem(byId("problem"), failed ?? null);
  // Counters stay visible; their age shows that they are stale.
  byId("counters").hidden = !answer.ok && !("known" in byId("name").dataset);
  if (answer.ok) {
    const account = accountFrom(answer.data);
    draw(account);
    drawMarks(account, marksFrom(answer.data));
    showInForm(account);
  }
  if (lost.ok) drawLost(lostFrom(lost.data).days);
  if (lately.ok) {
    const found = activityFrom(lately.data);
    activity.show(found);
    drawHour(found);
  }
  if (!failed) freshness.touch();
}

/** @param {import("./lost.js").LostDay[]} days */
function drawLost(days) {
  byId("lost").hidden = days.length === 0;
  byId("lost-rows").replaceChildren(...days.map((day) => dayRow(day, format)));
}

/** @param {Account} account */
function draw(account) {
  const name = byId("name");
  name.textContent = nameOf(account);
  name.dataset.known = "";
  document.title = `${nameOf(account)} · dmstats`;
  const since = account.createdAt ? `, since ${format.date(account.createdAt)}` : "";
  const state = account.isActive === null ? "state unknown" : account.isActive ? "active" : "inactive";
  const id = asLabel(account.instagramId) || "id unknown";
  byId("about").textContent = account.username ? `${id}, ${state}${since}` : `${state}${since}`;
  drawStates(account);
  drawGauge(byId("gauge"), limitOf(account));
  drawFigures(document, figuresOf(account), false);
}

/** @param {Account} account */
function drawStates(account) {
  const list = byId("states");
  const sentences = sentencesOf(account, format, ageOf);
  list.hidden = sentences.length === 0;
  list.replaceChildren(
    ...sentences.map(({ text, tone }) => {
      const line = document.createElement("li");
      line.textContent = text;
      line.dataset.tone = tone;
      return line;
    }),
  );
}

/**
 * @param {Account} account
 * @param {ReturnType<typeof marksFrom>} marks
 */
function drawMarks(account, { deauthorizedAt, deletionAskedAt }) {
  byId("withdrawn").hidden = !deauthorizedAt;
  if (deauthorizedAt) {
    const when = format.moment(deauthorizedAt);
    byId("withdrawn").textContent = `The account's owner withdrew the app's access on ${when}. No messages arrive until it is reconnected.`;
  }
  byId("deletion").hidden = !deletionAskedAt;
  if (deletionAskedAt) {
    const command = `dmstats forget-account ${asLabel(account.instagramId) ?? ""}`;
    byId("deletion").textContent = `The account's owner requested deletion on ${format.moment(deletionAskedAt)}. On the server: ${command}`;
  }
}

/**
 * @param {HTMLElement} gauge
 * @param {ReturnType<typeof limitOf>} limit
 */
function drawGauge(gauge, limit) {
  gauge.hidden = limit === null;
  if (!limit) return;
  gauge.dataset.level = limit.level;
  gauge.style.setProperty("--share", String(Math.min(1, Math.max(0, limit.share))));
}

/** @param {Activity} lately */
function drawHour(lately) {
  const pace = hourPaceOf(lately);
  const limit = pace && limitOf({ monthlyDmUsed: pace.sent, monthlyDmLimit: lately.hourlyDmLimit });
  drawGauge(byId("hour-gauge"), limit);
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
    const why = lately.at ? "No full hour has been counted yet" : "Available after the first check of the ledger";
    return { hour: { text: "" }, hourly: { text: "–" }, "hour-limit": { text: why }, "hour-pace": { text: "" } };
  }
  return {
    hour: { text: `from ${format.time(pace.last.at)}`, title: `Last full hour, ${format.utc(pace.last.at)}` },
    hourly: counted(pace.sent, format),
    "hour-limit": limitFigure(limit, { monthlyDmUsed: pace.sent, monthlyDmLimit: lately.hourlyDmLimit }, "hourly"),
    "hour-pace": runningHour(pace, lately.at ?? ""),
  };
}

/**
 * @param {NonNullable<ReturnType<typeof hourPaceOf>>} pace
 * @param {string} at
 * @returns {Figure}
 */
function runningHour({ soFar, expected, reachedAt }, at) {
  const so = `${format.brief(soFar)} so far this hour (as of ${format.time(at)}).`;
  if (reachedAt) return { text: `${so} At this rate the limit is reached at ${format.time(reachedAt)}.`, tone: "warn" };
  return { text: expected === null ? so : `${so} Projected: ${format.brief(Math.round(expected))}.` };
}

/**
 * @param {ReturnType<typeof limitOf>} limit
 * @param {Pick<Account, "monthlyDmUsed" | "monthlyDmLimit">} use
 * @param {string} which "monthly" or "hourly"
 * @returns {Figure}
 */
function limitFigure(limit, use, which) {
  const most = use.monthlyDmLimit;
  if (most === null) return { text: `No ${which} limit` };
  if (!limit || most === undefined) return { text: `The ${which} limit is unknown` };
  const tone = limit.level === "fine" ? undefined : /** @type {const} */ ("warn");
  if (most === 0) return { text: `The ${which} limit is 0`, tone };
  return { text: `${shareText(use, format)} of ${format.brief(most)}`, title: `${format.count(most)} a ${which === "monthly" ? "month" : "hour"}`, tone };
}

/**
 * @param {Account} account
 * @returns {Record<string, Figure>}
 */
function figuresOf(account) {
  const limit = limitOf(account);
  return {
    month: { text: format.month(account.currentMonth), title: "Months begin at 00:00 UTC on the 1st" },
    monthly: counted(account.monthlyDmUsed, format),
    limit: limitFigure(limit, account, "monthly"),
    pace: monthPace(account),
    sent: counted(account.dmUsed, format),
    received: counted(account.dmReceived, format),
    "last-sent": moment(account.lastDMSent),
    "last-received": moment(account.lastDMReceived),
  };
}

/**
 * @param {Account} account
 * @returns {Figure}
 */
function monthPace(account) {
  const found = paceOf(account, now());
  if (limitOf(account)?.level === "over") return { text: "The limit is used up.", tone: "warn" };
  if (!found) return { text: "Too early to project this month." };
  const perDay = `${format.brief(Math.round(found.perDay))} a day on average.`;
  if (found.reachedAt) {
    return {
      text: `${perDay} At this rate the limit is reached on ${format.moment(found.reachedAt)}.`,
      title: format.utc(found.reachedAt),
      tone: "warn",
    };
  }
  const within = account.monthlyDmLimit ? ", within the limit" : "";
  return { text: `${perDay} Projected for the month: ${format.brief(Math.round(found.expected))}${within}.` };
}

/**
 * @param {string | null | undefined} at
 * @returns {Figure}
 */
function moment(at) {
  if (at === undefined) return { text: "Time of the last message unknown" };
  return at ? { text: `Last on ${format.moment(at)}`, title: format.utc(at) } : { text: "None yet" };
}

wireShell();
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
