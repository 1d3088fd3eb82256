import assert from "node:assert/strict";
import { test } from "node:test";

import { createFormat } from "../../static/js/format.js";
import { alertText, dayText, daysOf, lengthOf, summaryOf, toldText } from "../../static/js/incidents.js";
import { incidentFrom, incidentsFrom, testedFrom } from "../../static/js/wire/incidents.js";

const format = createFormat("h23", "UTC");
const NOW = new Date(2026, 10, 15, 12, 0).getTime();

/** @param {number} hours back from now */
const back = (hours) => new Date(NOW - hours * 3_600_000).toISOString();

/**
 * @param {number} from hours back
 * @param {number | null} to
 */
const incident = (from, to, more = {}) =>
  incidentFrom({ id: "1-drift", beganAt: back(from), endedAt: to === null ? null : back(to), ...more });

test("it works", () => {
  const days = daysOf([incident(2, 1.5)], NOW);
  assert.equal(days.length, 90);
  assert.deepEqual(days.at(-1), {
    start: new Date(2026, 10, 15).getTime(), seconds: 1800, incidents: 1, level: "some",
  });
  assert.equal(days.filter((day) => day.level === "fine").length, 89);
  assert.equal(summaryOf(days), "Incidents on 1 of the last 90 days");
});

test("time in which two are open at once counts once", () => {
  const day = daysOf([incident(3, 1), incident(2, 0.5), incident(2.5, 2.25)], NOW).at(-1);
  assert.equal(day.seconds, 2.5 * 3600);
  assert.equal(day.incidents, 3);
  assert.equal(day.level, "long");
});

test("one that lasts goes on until now, over several days", () => {
  const days = daysOf([incident(36, null)], NOW);
  assert.deepEqual(days.slice(-3).map((day) => day.seconds / 3600), [0, 24, 12]);
});

test("one whose times cannot be read is on no day, and still in the list", () => {
  const { incidents } = incidentsFrom({ incidents: [{ beganAt: "never", endedAt: 3 }, null] });
  assert.equal(incidents.length, 2);
  assert.equal(summaryOf(daysOf(incidents, NOW)), "No incidents in the last 90 days");
  assert.equal(lengthOf(incidents[0], NOW, format), "unknown");
});

test("a day in words", () => {
  const days = daysOf([incident(2, 1.5)], NOW);
  assert.match(dayText(days.at(-1), createFormat("h23")), /15 Nov 2026|Nov 15, 2026/);
  assert.match(dayText(days.at(-1), format), /1 incident, 30m$/);
  assert.match(dayText(days[0], format), /: no incidents$/);
});

const alert = (more) => incident(2, 1, { alerts: [{ channel: "slack", state: "open", attempts: 0, ...more }] });

test("who was told", () => {
  const soon = back(0);
  assert.equal(toldText(incident(2, 1)), "no channel");
  assert.equal(toldText(alert({ toldAt: back(2) })), "slack");
  assert.equal(toldText(alert({ nextAt: soon })), "no channel yet");
  for (const [more, words] of [
    [{ toldAt: "2026-11-15T09:00:00Z" }, /^Sent at .*09:00:00/],
    [{ nextAt: soon }, /^Not sent yet$/],
    [{ nextAt: soon, attempts: 1, problem: "status 503" }, /^Not sent yet, 1 attempt: status 503$/],
    [{ attempts: 9, problem: "status 400" }, /^Not sent, gave up after 9 attempts: status 400$/],
  ]) {
    assert.match(alertText(alert(more).alerts[0], format), words);
  }
});

test("the outcome of a test", () => {
  assert.deepEqual(testedFrom({ channels: [{ channel: "slack", told: true, problem: null }, 3] }), [
    { channel: "slack", told: true, problem: null },
    { channel: "unknown", told: false, problem: null },
  ]);
});
