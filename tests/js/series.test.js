import assert from "node:assert/strict";
import { test } from "node:test";

import { columns, isRunning, lonely, pointsOf, sums } from "../../static/js/series.js";
import { snapshotOf } from "./helpers.js";

test("it works", () => {
  const snapshot = snapshotOf("1-1");
  assert.equal(pointsOf(snapshot, "hour").length, 60);
  assert.equal(pointsOf(snapshot, "day").length, 24);
  assert.equal(pointsOf(snapshot, "month").length, 30);
});

test("a bucket that is not there is a gap, not a zero", () => {
  const snapshot = snapshotOf("1-1");
  snapshot.series.minutes.splice(10, 3);
  const points = pointsOf(snapshot, "hour");
  assert.equal(points.length, 60);
  assert.deepEqual(
    points.slice(9, 14).map((point) => point.sent),
    [10, null, null, null, 14],
  );
  const times = points.map((point) => Date.parse(point.at));
  assert.ok(times.every((at, i) => i === 0 || at - times[i - 1] === 60_000));
});

test("a null stays a gap and adds nothing", () => {
  const snapshot = snapshotOf("1-1");
  snapshot.series.hours = [
    { at: "2026-11-15T10:00:00Z", sent: 5, received: 2 },
    { at: "2026-11-15T11:00:00Z", sent: null, received: null },
  ];
  const points = pointsOf(snapshot, "day");
  assert.equal(points[1].sent, null);
  assert.deepEqual(sums(points), { sent: 5, received: 2 });
});

test("the last bucket runs until its end", () => {
  const points = pointsOf(snapshotOf("1-1"), "hour");
  assert.equal(isRunning(points, "hour", "2026-11-15T12:34:59Z"), true);
  assert.equal(isRunning(points, "hour", "2026-11-15T12:35:00Z"), false);
  assert.equal(isRunning([], "hour", "2026-11-15T12:35:00Z"), false);
});

test("an unfinished bucket has lines of its own", () => {
  const points = ["10", "11", "12"].map((hour, i) => ({ at: `2026-11-15T${hour}:00:00Z`, sent: i, received: 2 * i }));
  const [, sent, received, sentSoFar, receivedSoFar] = columns(points, true);
  assert.deepEqual(sent, [0, 1, null]);
  assert.deepEqual(received, [0, 2, null]);
  assert.deepEqual(sentSoFar, [null, 1, 2]);
  assert.deepEqual(receivedSoFar, [null, 2, 4]);
});

test("without one there is nothing to set apart", () => {
  const points = pointsOf(snapshotOf("1-1"), "day");
  const [, sent, , sentSoFar] = columns(points, false);
  assert.ok(sent.every((n) => n !== null));
  assert.deepEqual(
    sentSoFar.filter((n) => n !== null),
    [points.at(-1).sent],
  );
});

test("no buckets, no points", () => {
  const snapshot = snapshotOf("1-1");
  snapshot.series.days = [];
  assert.deepEqual(columns(pointsOf(snapshot, "month"), false), [[], [], [], [], []]);
});

test("what was before counting began is a gap", () => {
  const points = pointsOf(snapshotOf("1-1", { since: "2026-11-15T09:00:00Z" }), "day");
  assert.deepEqual(points.map((point) => point.sent).slice(-5), [null, 21, 22, 23, 24]);
});

test("a value between gaps stands alone", () => {
  assert.deepEqual(lonely([]), []);
  assert.deepEqual(lonely([7]), [0]);
  assert.deepEqual(lonely([1, 2, null]), []);
  assert.deepEqual(lonely([0, null, 3, undefined, 4, 5, null, 6]), [0, 2, 7]);
});
