import assert from "node:assert/strict";
import { test } from "node:test";

import { bandColumns, columns, isRunning, isolatedIndexes, paceOfLast, pictureOf, pointsOf, totalsOf } from "../../static/js/series.js";
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

test("the day on which summer time ends has 25 hours, and no gap behind it", () => {
  const days = ["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-27T23:00:00Z"];
  const series = { minutes: [], hours: [], days: days.map((at) => ({ at, sent: 1, received: 1 })) };
  const points = pointsOf({ series, since: null }, "month");
  assert.deepEqual(points.map(({ sent }) => sent), [1, 1, 1, null, 1]);
});

test("a null stays a gap and adds nothing", () => {
  const snapshot = snapshotOf("1-1");
  snapshot.series.hours = [
    { at: "2026-11-15T10:00:00Z", sent: 5, received: 2 },
    { at: "2026-11-15T11:00:00Z", sent: null, received: null },
  ];
  const points = pointsOf(snapshot, "day");
  assert.equal(points[1].sent, null);
  assert.deepEqual(totalsOf(points), { sent: 5, received: 2 });
});

test("the last bucket runs until its end", () => {
  const points = pointsOf(snapshotOf("1-1"), "hour");
  assert.equal(isRunning(points, "hour", "2026-11-15T12:34:59Z"), true);
  assert.equal(isRunning(points, "hour", "2026-11-15T12:35:00Z"), false);
  assert.equal(isRunning([], "hour", "2026-11-15T12:35:00Z"), false);
});

test("the line ends at the last full bucket, and what runs stands apart", () => {
  const points = ["10", "11", "12"].map((hour, i) => ({ at: `2026-11-15T${hour}:00:00Z`, sent: i, received: 2 * i }));
  points[2].partial = true;
  const [, sent, received, sentSoFar, receivedSoFar] = columns(points);
  assert.deepEqual(sent, [0, 1, null]);
  assert.deepEqual(received, [0, 2, null]);
  assert.deepEqual(sentSoFar, [null, null, 2]);
  assert.deepEqual(receivedSoFar, [null, null, 4]);
});

test("without one there is nothing to set apart", () => {
  const points = pointsOf(snapshotOf("1-1"), "day");
  const [, sent, , sentSoFar] = columns(points);
  assert.ok(sent.every((n) => n !== null));
  assert.deepEqual(
    sentSoFar.filter((n) => n !== null),
    [],
  );
});

test("a running bucket goes on as it did, once there is a pace", () => {
  const points = [{ at: "2026-11-15T12:00:00Z", sent: 10, received: null }];
  assert.deepEqual(paceOfLast(points, "day", "2026-11-15T12:30:00Z"), { sent: 20, received: null });
  assert.equal(paceOfLast(points, "day", "2026-11-15T12:05:00Z"), null);
  assert.equal(paceOfLast(points, "day", "2026-11-15T13:00:00Z"), null);
  assert.equal(paceOfLast([], "day", "2026-11-15T13:00:00Z"), null);
});

test("one bucket of a wrong year does not fill the page with gaps", () => {
  for (const at of ["1999-01-01T00:00:00Z", "9999-01-01T00:00:00Z"]) {
    const snapshot = snapshotOf("1-1");
    const minutes = [...snapshot.series.minutes, { at, sent: 1, received: 1 }];
    minutes.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
    assert.ok(pointsOf({ ...snapshot, series: { ...snapshot.series, minutes } }, "hour").length <= 61);
  }
});

test("no buckets, no points", () => {
  const snapshot = snapshotOf("1-1");
  snapshot.series.days = [];
  assert.deepEqual(columns(pointsOf(snapshot, "month")), [[], [], [], [], [], [], []]);
});

test("what was before counting began is a gap", () => {
  const points = pointsOf(snapshotOf("1-1", { since: "2026-11-15T09:00:00Z" }), "day");
  assert.deepEqual(points.map((point) => point.sent).slice(-5), [null, 21, 22, 23, 24]);
});

test("a value between gaps stands alone", () => {
  assert.deepEqual(isolatedIndexes([]), []);
  assert.deepEqual(isolatedIndexes([7]), [0]);
  assert.deepEqual(isolatedIndexes([1, 2, null]), []);
  assert.deepEqual(isolatedIndexes([0, null, 3, undefined, 4, 5, null, 6]), [0, 2, 7]);
});

test("the earlier points stand beside, without the part that is compared with a running bucket", () => {
  const points = ["10", "11", "12"].map((hour, i) => ({ at: `2026-11-15T${hour}:00:00Z`, sent: i, received: i }));
  points[2].partial = true;
  const before = [{ at: "2026-11-14T10:00:00Z", sent: 7, received: 8 }, null, { at: "2026-11-14T12:00:00Z", sent: 1, received: 1 }];
  const [, , , , , sent, received] = columns(points, before);
  assert.deepEqual(sent, [7, null, null]);
  assert.deepEqual(received, [8, null, null]);
});

test("a snapshot's picture marks the bucket that is still filling", () => {
  const picture = pictureOf(snapshotOf("1-1"), "day", "Last 24 hours");
  assert.equal(picture.unit, "hour");
  assert.equal(picture.isRunning, true);
  assert.deepEqual(picture.points.map(({ partial }) => partial ?? false).slice(-2), [false, true]);
  assert.equal(picture.comparison, null);
});

test("the expected range has its edges, and the points outside of it", () => {
  const points = [5, 50, 7].map((sent, i) => ({ at: `2026-11-15T1${i}:00:00Z`, sent, received: sent }));
  const inside = { low: 1, high: 9, outside: null };
  const expected = [null, { sent: { ...inside, outside: "above" }, received: { ...inside, high: 60 } }, { sent: inside, received: inside }];
  assert.deepEqual(bandColumns(points, expected), [
    [null, 9, 9],
    [null, 60, 9],
    [null, 1, 1],
    [null, 1, 1],
    [null, 50, null],
    [null, null, null],
  ]);
  assert.deepEqual(bandColumns(points)[0], [null, null, null]);
});
