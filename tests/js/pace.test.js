import assert from "node:assert/strict";
import { test } from "node:test";

import { paceOf } from "../../static/js/pace.js";

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
