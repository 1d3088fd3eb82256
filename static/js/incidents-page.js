/** The page of all incidents: 90 days as bars, the list, and a test of the alerts. */

import { ask } from "./ask.js";
import { now } from "./clock.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { base } from "./base.js";
import { dayText, daysOf, lengthOf, summaryOf, toldText } from "./incidents.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";
import { wireShell } from "./shell.js";
import { incidentsFrom, testedFrom } from "./wire/incidents.js";

/** @typedef {import("./types.js").Incident} Incident */

const POLL_MS = 30_000;
/** A channel may take twenty seconds, and four are notified at a time. */
const TEST_MS = 120_000;
const format = createFormat();
const freshness = createFreshness(byId("age"), document.documentElement, format, now);
const rows = byId("rows", HTMLTableSectionElement);
/** Only for people who may send a test. */
const button = document.getElementById("test");

async function load() {
  const answer = await ask("/api/admin/incidents");
  showProblem(byId("problem"), answer.ok ? null : answer);
  if (!answer.ok) return;
  const { incidents, complete, channels } = incidentsFrom(answer.data);
  drawDays(incidents);
  // Keep the focus in its row.
  if (!rows.contains(document.activeElement)) rows.replaceChildren(...incidents.map(rowOf));
  const open = incidents.filter((incident) => incident.endedAt === null).length;
  const n = `${format.count(incidents.length)}${complete ? "" : " or more"} in 90 days`;
  byId("count").textContent = open ? `${open} open, ${n}` : n;
  byId("nothing").hidden = incidents.length > 0;
  byId("list").hidden = incidents.length === 0;
  byId("channels").textContent = channels.length
    ? `Alerts go to: ${channels.join(", ")}.`
    : "No alerts are sent: there are no channels, and DMSTATS_ALERT_URL is not set.";
  if (button) button.hidden = channels.length === 0;
  freshness.touch();
}

/** @param {Incident[]} incidents */
function drawDays(incidents) {
  const days = daysOf(incidents, now());
  const bars = byId("days");
  bars.setAttribute("aria-label", summaryOf(days));
  bars.replaceChildren(
    ...days.map((day) => {
      const bar = document.createElement("span");
      bar.dataset.level = day.level;
      bar.title = dayText(day, format);
      return bar;
    }),
  );
}

/** @param {Incident} incident */
function rowOf(incident) {
  const row = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  const link = document.createElement("a");
  link.href = `${base}/incidents/${encodeURIComponent(incident.id)}`;
  link.textContent = incident.title;
  name.append(link);
  if (incident.endedAt === null) {
    const mark = document.createElement("span");
    mark.className = "mark bad";
    mark.textContent = "open";
    name.append(" ", mark);
  }
  const began = document.createElement("td");
  if (incident.beganAt) {
    began.textContent = format.moment(incident.beganAt);
    began.title = format.utc(incident.beganAt);
  }
  const length = document.createElement("td");
  length.className = "figure";
  length.textContent = lengthOf(incident, now(), format);
  const told = document.createElement("td");
  told.className = "wide";
  told.textContent = toldText(incident);
  row.append(name, began, length, told);
  return row;
}

button?.addEventListener("click", async () => {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  const line = byId("tested");
  line.className = "aside";
  line.textContent = "Sending a test alert…";
  const answer = await ask("/api/admin/alerts/test", { method: "POST", body: {}, timeout: TEST_MS });
  button.setAttribute("aria-disabled", "false");
  if (!answer.ok) {
    line.className = "problem";
    line.textContent = answer.sentence;
    return;
  }
  const tested = testedFrom(answer.data);
  line.className = tested.every(({ told }) => told) ? "success" : "problem";
  line.textContent = `${tested.map(({ channel, told, problem }) => `${channel}: ${told ? "sent" : (problem ?? "failed")}`).join("; ")}.`;
});

wireShell();
void load();
setInterval(() => freshness.tick(), 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void load();
});
setInterval(() => {
  if (!document.hidden) void load();
}, POLL_MS);
