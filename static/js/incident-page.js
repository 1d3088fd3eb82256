/** The page of one incident: times, notifications and runbook. */

import { ask } from "./ask.js";
import { now } from "./clock.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { alertText, lengthOf } from "./incidents.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";
import { wireShell } from "./shell.js";
import { incidentFrom } from "./wire/incidents.js";

/** @typedef {import("./types.js").Incident} Incident */

const POLL_MS = 30_000;
const format = createFormat();
const freshness = createFreshness(byId("age"), document.documentElement, format, now);

async function load() {
  const answer = await ask(`/api/admin/incidents/${encodeURIComponent(document.body.dataset.incident ?? "")}`);
  showProblem(byId("problem"), answer.ok ? null : answer);
  if (!answer.ok) return;
  draw(incidentFrom(answer.data));
  byId("found").hidden = false;
  freshness.touch();
}

/** @param {Incident} incident */
function draw(incident) {
  byId("name").textContent = incident.title;
  document.title = `${incident.title} · dmstats`;
  byId("text").replaceChildren(...withCode(incident.text));
  const length = lengthOf(incident, now(), format);
  const began = incident.beganAt ? `Began ${format.moment(incident.beganAt)}` : "Began at an unknown time";
  const ended = incident.endedAt ? `ended ${format.moment(incident.endedAt)}, after ${length}` : `open for ${length}`;
  byId("about").textContent = `${began}, ${ended}`;
  byId("alerts").replaceChildren(
    ...incident.alerts.map((alert) => {
      const row = document.createElement("tr");
      const channel = document.createElement("th");
      channel.scope = "row";
      channel.textContent = alert.channel;
      const what = document.createElement("td");
      what.textContent = alert.state === "open" ? "Beginning" : "End";
      const state = document.createElement("td");
      state.textContent = alertText(alert, format);
      row.append(channel, what, state);
      return row;
    }),
  );
  byId("told").hidden = incident.alerts.length === 0;
  byId("untold").hidden = incident.alerts.length > 0;
  byId("steps").replaceChildren(...incident.steps.map(stepOf));
  byId("runbook").hidden = incident.steps.length === 0;
  byId("section").textContent = incident.section;
}

/** @param {string} step */
function stepOf(step) {
  const item = document.createElement("li");
  item.append(...withCode(step));
  return item;
}

/**
 * @param {string} text in which `commands` stand between backticks
 * @returns {(string | HTMLElement)[]}
 */
function withCode(text) {
  return text.split("`").map((words, i) => {
    if (i % 2 === 0) return words;
    const code = document.createElement("code");
    code.textContent = words;
    return code;
  });
}

wireShell();
void load();
setInterval(() => freshness.tick(), 1000);
setInterval(() => {
  if (!document.hidden) void load();
}, POLL_MS);
