import assert from "node:assert/strict";
import { test } from "node:test";

import { hourPaceOf, paceOf } from "../../static/js/pace.js";

const MIDDLE = Date.parse("2026-11-16T00:00:00Z");

test("it works: half a month, half the use", () => {
  const pace = paceOf({ monthlyDmUsed: 1500 }, MIDDLE);
  assert.equal(pace.perDay, 100);
  assert.equal(pace.expected, 3000);
  assert.equal(pace.reachedAt, null);
});

test("a limit within reach is reached when the pace says so", () => {
  const pace = paceOf({ monthlyDmUsed: 1500, monthlyDmLimit: 2000 }, MIDDLE);
  assert.equal(pace.reachedAt, "2026-11-21T00:00:00.000Z");
});

test("a limit that lasts is not reached this month", () => {
  assert.equal(paceOf({ monthlyDmUsed: 1500, monthlyDmLimit: 3000 }, MIDDLE).reachedAt, null);
});

test("a limit that is used up is not reached again", () => {
  assert.equal(paceOf({ monthlyDmUsed: 1500, monthlyDmLimit: 1500 }, MIDDLE).reachedAt, null);
});

test("an account of this month is measured from its first day", () => {
  const pace = paceOf({ monthlyDmUsed: 100, createdAt: "2026-11-15T00:00:00Z" }, MIDDLE);
  assert.equal(pace.perDay, 100);
});

test("the first hour tells nothing, nor does no use at all", () => {
  assert.equal(paceOf({ monthlyDmUsed: 9 }, Date.parse("2026-11-01T00:59:00Z")), null);
  assert.equal(paceOf({ monthlyDmUsed: 0 }, MIDDLE), null);
});

test("December ends in the next year", () => {
  const pace = paceOf({ monthlyDmUsed: 3000 }, Date.parse("2026-12-31T00:00:00Z"));
  assert.equal(pace.expected, 3100);
});

/** @param {number | null} last @param {number | null} running @param {object} more */
function lately(last, running, more = {}) {
  return {
    at: "2026-11-16T14:30:00.000Z",
    hours: [
      { at: "2026-11-16T13:00:00.000Z", sent: last, received: 0 },
      { at: "2026-11-16T14:00:00.000Z", sent: running, received: 0 },
    ],
    days: [],
    hourlyDmLimit: 200,
    ...more,
  };
}

test("an hour goes on as it did", () => {
  const pace = hourPaceOf(lately(34, 120));
  assert.deepEqual([pace.sent, pace.soFar, pace.expected], [34, 120, 240]);
  assert.equal(pace.reachedAt, "2026-11-16T14:50:00.000Z");
});

test("an hourly limit that lasts, is used up, or is not there is not reached", () => {
  for (const activity of [lately(34, 90), lately(34, 200), lately(34, 120, { hourlyDmLimit: null })]) {
    assert.equal(hourPaceOf(activity).reachedAt, null);
  }
});

test("a few minutes are no pace", () => {
  const pace = hourPaceOf(lately(34, 120, { at: "2026-11-16T14:02:00.000Z" }));
  assert.deepEqual([pace.expected, pace.reachedAt], [null, null]);
});

test("an hour of which nothing is known has no pace", () => {
  assert.equal(hourPaceOf(lately(null, 1)), null);
  assert.equal(hourPaceOf({ at: null, hours: [], days: [], hourlyDmLimit: 200 }), null);
});
