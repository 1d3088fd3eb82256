/** The page of DMs without an echo. */

import { ask } from "./ask.js";
import { now } from "./clock.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { accountRow, dayRow, lostFrom } from "./lost.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";
import { wireShell } from "./shell.js";

const POLL_MS = 30_000;
const STEP = 100;
const MAX_ROWS = 500;
const format = createFormat();
const freshness = createFreshness(byId("age"), document.documentElement, format, now);
const more = byId("more", HTMLButtonElement);

let limit = STEP;

async function load() {
  const answer = await ask(`/api/admin/lost?limit=${limit}`);
  showProblem(byId("problem"), answer.ok ? null : answer);
  if (!answer.ok) return;
  const { days, accounts, complete } = lostFrom(answer.data);
  const used = days.length > 0;
  byId("unused").hidden = used;
  byId("accounts").hidden = byId("days").hidden = !used;
  byId("accounts-table").hidden = accounts.length === 0;
  byId("none").hidden = accounts.length > 0;
  byId("account-rows").replaceChildren(...accounts.map((day) => accountRow(day, format)));
  byId("day-rows").replaceChildren(...days.map((day) => dayRow(day, format)));
  more.hidden = complete || limit >= MAX_ROWS;
  const lost = days.reduce((sum, day) => sum + (day.lost ?? 0), 0);
  const sends = days.reduce((sum, day) => sum + (day.sends ?? 0), 0);
  byId("count").textContent = used ? `${format.count(lost)} of ${format.count(sends)} in 30 days` : "";
  freshness.touch();
}

/** Reload, unless a row has the focus. */
function reload() {
  if (!document.hidden && !byId("account-rows").contains(document.activeElement)) void load();
}

more.addEventListener("click", () => {
  limit = Math.min(MAX_ROWS, limit + 2 * STEP);
  void load();
});
wireShell();
void load();
setInterval(() => freshness.tick(), 1000);
document.addEventListener("visibilitychange", reload);
setInterval(reload, POLL_MS);
