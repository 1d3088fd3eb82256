import assert from "node:assert/strict";
import { test } from "node:test";

import { createFormat } from "../../static/js/format.js";
import { weekdayHourMeans, lastDays, weekFrom } from "../../static/js/heat.js";

const place = (at) => createFormat("h23", "UTC", "Europe/Berlin").hourOfWeek(at);
const point = (at, sent, received, more = {}) => ({ at, sent, received, ...more });

test("it works", () => {
  const { mean, most } = weekdayHourMeans(
    [point("2026-11-15T23:00:00Z", 3, 1), point("2026-11-22T23:00:00Z", 5, 3), point("2026-11-16T00:00:00Z", 1, 0)],
    place,
  );
  // 23:00 UTC on Sunday is Monday in Berlin.
  assert.equal(mean[0][0], 6);
  assert.equal(mean[0][1], 1);
  assert.equal(mean[6][23], null);
  assert.equal(most, 6);
});

test("hours that are unknown or not over count for nothing", () => {
  const points = [
    point("2026-11-16T00:00:00Z", null, null),
    point("2026-11-16T00:00:00Z", 100, 0, { partial: true }),
    point("2026-11-23T00:00:00Z", 0, 0),
  ];
  assert.equal(weekdayHourMeans(points, place).mean[0][1], 0);
  assert.equal(weekdayHourMeans([], place).most, 0);
});

test("an hour that is repeated is one hour more", () => {
  const { mean } = weekdayHourMeans([point("2026-10-25T00:00:00Z", 4, 0), point("2026-10-25T01:00:00Z", 2, 0)], place);
  assert.equal(mean[6][2], 3);
});

test("of a long range the last 31 days are asked for", () => {
  assert.equal(lastDays("2026-01-01T00:00:00Z", "2026-11-15T12:34:00Z"), "2026-10-15T12:34:00.000Z");
  assert.equal(lastDays("2026-11-10T00:00:00Z", "2026-11-15T12:34:00Z"), "2026-11-10T00:00:00.000Z");
});

test("a week begins as the reader's", () => {
  assert.deepEqual(weekFrom("monday"), [0, 1, 2, 3, 4, 5, 6]);
  assert.deepEqual(weekFrom("sunday"), [6, 0, 1, 2, 3, 4, 5]);
  assert.deepEqual(weekFrom("saturday"), [5, 6, 0, 1, 2, 3, 4]);
});
