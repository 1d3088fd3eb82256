import assert from "node:assert/strict";
import { test } from "node:test";

import { createFormat } from "../../static/js/format.js";
import { pictureFrom } from "../../static/js/history-picture.js";
import { historyFrom } from "../../static/js/wire/history.js";
import { firstDayOfWeek } from "../../static/js/ranges.js";
import { readView } from "../../static/js/view.js";

const format = createFormat("h23", "UTC", "UTC");
const point = (at, sent, received = sent, more = {}) => ({ at: `2026-11-${at}T00:00:00.000Z`, sent, received, ...more });

const ANSWER = {
  range: { name: "7d", from: "2026-11-13T00:00:00.000Z", to: "2026-11-15T12:00:00.000Z", open: true },
  unit: "day",
  tz: "UTC",
  weekStart: "monday",
  compare: "previous",
  points: [point("13", 100), point("14", 120), point("15", 60, 40, { partial: true })],
  totals: { sent: 280, received: 260 },
  comparison: {
    kind: "previous",
    from: "2026-11-10T00:00:00.000Z",
    to: "2026-11-12T12:00:00.000Z",
    points: [point("10", 100), null, point("12", 150)],
    unmatched: [point("11", 10)],
    totals: { sent: 250, received: 260 },
  },
  difference: { sent: 30, received: 0, sentPercent: 12, receivedPercent: 0 },
  since: "2026-01-01T00:00:00.000Z",
  computedAt: "2026-11-15T12:00:00.000Z",
};

const picture = (over = {}, search = "?range=7d") => pictureFrom(historyFrom({ ...ANSWER, ...over }), readView(search), format);

test("it works", () => {
  const { title, about, unit, points, isRunning, comparison } = picture();
  assert.equal(title, "Last 7 days");
  assert.equal(about, "Nov 13, 2026 to Nov 15, 2026, counted up to Nov 15, 2026, 12:00:00");
  assert.equal(unit, "day");
  assert.equal(isRunning, true);
  assert.deepEqual(points[0], { at: "2026-11-13T00:00:00.000Z", sent: 100, received: 100 });
  assert.deepEqual(comparison.points[1], null);
  assert.equal(comparison.unmatched[0].sent, 10);
});

test("the difference is told in words and per cent", () => {
  assert.equal(
    picture().comparison.words,
    "Compared with Nov 10, 2026 to Nov 12, 2026, up to the same time: 30 more sent (+12%), as many received (260).",
  );
});

test("of a tiny or a partly counted base no per cent is told", () => {
  const totals = { sent: 4, received: 3000 };
  const words = picture({ comparison: { ...ANSWER.comparison, totals } }).comparison.words;
  assert.match(words, /: 276 more sent, 2,740 fewer received \(−91%\)\.$/);
  assert.match(picture({ since: "2026-11-11T08:00:00Z" }).comparison.words, /: 30 more sent, as many .* Counting began during this period, on Nov 11, 2026/);
});

test("a difference that rounds to nothing has no per cent", () => {
  const totals = { sent: 100_000, received: 100_000 };
  const comparison = { ...ANSWER.comparison, totals: { sent: 99_999, received: 200_000 } };
  const { words } = picture({ totals, comparison, range: { ...ANSWER.range, open: false } }).comparison;
  assert.match(words, /12, 2026: 1 more sent, 100,000 fewer received \(−50%\)\.$/);
});

test("nothing is compared with what was never counted", () => {
  const { comparison } = picture({ since: "2026-11-13T00:00:00.000Z" });
  assert.equal(comparison.words, "No comparison: nothing was counted in Nov 10, 2026 to Nov 12, 2026.");
  assert.deepEqual(comparison.points.map((each) => each?.sent), [null, undefined, null]);
});

test("before counting began there is a gap, not a zero", () => {
  const { points } = picture({ since: "2026-11-14T09:00:00Z" });
  assert.deepEqual(points.map(({ sent }) => sent), [null, 120, 60]);
  assert.deepEqual(points.map(({ partial }) => partial ?? false), [false, true, true]);
  assert.deepEqual(picture({ since: null }).points.map(({ sent }) => sent), [null, null, null]);
});

test("a bucket that is still filling has a pace, a full one none", () => {
  assert.deepEqual(picture().pace, { sent: 120, received: 80 });
  assert.equal(picture({ computedAt: "2026-11-15T00:30:00Z" }).pace, null);
  const closed = { range: { ...ANSWER.range, open: false } };
  assert.equal(picture(closed).pace, null);
  assert.equal(picture(closed).isRunning, false);
});

test("the pace of a month goes by the days that it has", () => {
  const points = [{ at: "2026-09-30T22:00:00Z", sent: 1, received: 1 }, { at: "2026-10-31T23:00:00Z", sent: 15, received: 30, partial: true }];
  assert.deepEqual(picture({ unit: "month", points, computedAt: "2026-11-15T23:00:00Z" }).pace, { sent: 30, received: 60 });
  assert.equal(picture({ unit: "month", points: points.slice(1), computedAt: "2026-11-15T23:00:00Z" }).pace, null);
});

test("chosen dates are the title", () => {
  assert.equal(picture({}, "?from=2026-11-13&to=2026-11-15").title, "Nov 13, 2026 to Nov 15, 2026");
});

test("what is no history is told from one", () => {
  for (const odd of [null, 7, [], {}, { ...ANSWER, unit: "eon" }, { ...ANSWER, points: 3 }, { ...ANSWER, points: [{}] }, { ...ANSWER, range: null }]) {
    assert.equal(historyFrom(odd), null);
  }
  const points = [{ ...point("13", "many"), received: 2 ** 60 }];
  assert.deepEqual(historyFrom({ ...ANSWER, points }).points[0], { at: points[0].at, sent: null, received: null });
  assert.equal(historyFrom({ ...ANSWER, comparison: "none" }).comparison, null);
});

test("weeks begin as in the reader's country", () => {
  assert.equal(firstDayOfWeek("en-GB"), "monday");
  assert.equal(firstDayOfWeek("en-US"), "sunday");
  assert.equal(firstDayOfWeek("ar-EG"), "saturday");
  assert.equal(firstDayOfWeek("not a language"), "monday");
});

test("the expected range is told in words", () => {
  const usual = (outside) => ({ weeks: 8, sent: { median: 5, low: 2, high: 9, outside }, received: { median: 5, low: 2, high: 9, outside: null } });
  const over = { comparison: null, band: { points: [usual("above"), usual(null), null] } };
  const { expected, to } = picture(over, "?range=7d&compare=expected");
  assert.equal(expected.words, "Expected range, from the same weekday of the 8 weeks before: 1 of 2 points are outside.");
  assert.deepEqual(expected.points[0].sent, { low: 2, high: 9, outside: "above" });
  assert.equal(expected.points[2], null);
  assert.equal(to, null);
  assert.equal(picture().expected, null);
  const words = (band, more = {}) => picture({ comparison: null, band, ...more }, "?range=7d&compare=expected").expected.words;
  assert.equal(words({ points: [null, null, null] }), "No expected range yet: it needs at least 4 weeks of counts.");
  assert.equal(words(null, { unit: "week" }), "The expected range is only available by hour or day.");
  const hours = historyFrom({ ...ANSWER, unit: "hour" });
  const ofAccount = pictureFrom(hours, readView("?compare=expected"), format, "account").expected.words;
  assert.equal(ofAccount, "The expected range of an account is only available by day.");
  assert.equal(picture({ band: { points: ["x", {}, { sent: usual(null).sent }] } }, "?compare=expected&range=7d").expected.points[2], null);
});
