import assert from "node:assert/strict";
import { test } from "node:test";

import { createFormat } from "../../static/js/format.js";

const english = createFormat("h23", "Europe/Berlin");
const plain = (text) => text.replaceAll(/[\u00a0\u202f]/g, " ");

test("it works", () => {
  assert.equal(english.count(1234567), "1,234,567");
});

test("numbers are exact up to seven digits, and cut to four digits beyond", () => {
  for (const [n, text] of [
    [0, "0"],
    [9_999_999, "9,999,999"],
    [10_000_000, "10.00M"],
    [12_349_999, "12.34M"],
    [684_497_484, "684.4M"],
    [999_999_999, "999.9M"],
    [1_000_000_000, "1.000B"],
    [123_456_789_012, "123.4B"],
    [2 ** 53, "9007T"],
    [-12_345_678, "\u221212.34M"],
    [null, "–"],
  ]) {
    assert.equal(english.brief(n), text);
  }
});

test("the hours are the reader's: twelve or twenty-four", () => {
  assert.equal(plain(createFormat("h12", "UTC").time("2026-11-15T16:05:00Z")), "04:05 PM");
  assert.equal(createFormat("h23", "UTC").time("2026-11-15T00:05:00Z"), "00:05");
});

test("a day of the reader's is not one of UTC's", () => {
  const west = createFormat("h23", "America/Los_Angeles");
  assert.equal(west.sameDay("2026-11-15T00:00:00Z", "2026-11-15T20:00:00Z"), false);
  assert.equal(english.sameDay("2026-11-15T00:00:00Z", "2026-11-15T20:00:00Z"), true);
});

test("times follow the reader's zone, hovers say UTC", () => {
  assert.equal(english.time("2026-11-15T12:34:56Z"), "13:34");
  assert.equal(english.utc("2026-11-15T12:34:56.789Z"), "2026-11-15 12:34:56 UTC");
});

test("days are named in the zone of the figures", () => {
  const berlin = createFormat("h23", "America/Los_Angeles", "Europe/Berlin");
  assert.equal(berlin.day("2026-11-14T23:00:00Z"), "Nov 15");
  assert.match(berlin.bucket("day", "2026-11-14T23:00:00Z"), /^Sun, Nov 15$/);
  assert.equal(berlin.month("2026-11"), "Nov 2026");
});

test("days and months keep their UTC names west of Greenwich", () => {
  const west = createFormat("h23", "America/Los_Angeles");
  assert.equal(west.day("2026-11-15T00:00:00Z"), "Nov 15");
  assert.match(west.bucket("day", "2026-11-15T00:00:00Z"), /^Sun, Nov 15$/);
  assert.equal(west.month("2026-11"), "Nov 2026");
});

for (const [seconds, text] of [
  [0, "0s"],
  [59.9, "59s"],
  [60, "1m"],
  [65, "1m 5s"],
  [601, "10m"],
  [7300, "2h 1m"],
  [90_000, "1d"],
  [-5, "0s"],
]) {
  test(`${seconds} seconds are ${text}`, () => assert.equal(plain(english.duration(seconds)), text));
}

test("small rates keep a digit, large ones do not", () => {
  assert.equal(english.rate(1.66), "1.7");
  assert.equal(english.rate(166.4), "166");
});

test("a change carries its sign", () => {
  assert.equal(english.change(0.08), "+8%");
  assert.equal(english.change(-0.2), "\u221220%");
});

test("a bucket is named as far as it must be", () => {
  const format = createFormat("h23", "Europe/Berlin", "Europe/Berlin");
  const at = "2026-11-14T23:00:00Z";
  assert.equal(format.bucket("hour", at), "Sun 00:00");
  assert.match(format.bucket("hour", at, true), /^Sun, Nov 15.* 00:00$/);
  assert.equal(format.bucket("day", at, true), "Sun, Nov 15, 2026");
  assert.equal(format.bucket("week", at), "Week of Nov 15, 2026");
  assert.equal(format.bucket("month", "2026-10-31T23:00:00Z"), "Nov 2026");
});

test("dates are the figures' days, the last one included", () => {
  const format = createFormat("h23", "America/Los_Angeles", "Europe/Berlin");
  assert.equal(format.dates("2026-10-31T23:00:00Z", "2026-11-07T23:00:00Z"), "Nov 1, 2026 to Nov 7, 2026");
  assert.equal(format.dates("2026-10-31T23:00:00Z", "2026-11-01T23:00:00Z"), "Nov 1, 2026");
  assert.equal(format.isoDate("2026-10-31T23:00:00Z"), "2026-11-01");
});

test("an axis names times, days, or months", () => {
  const format = createFormat("h23", "UTC", "UTC");
  assert.equal(format.tick("hour", "2026-11-15T06:00:00Z", false), "06:00");
  assert.equal(format.tick("hour", "2026-11-15T00:00:00Z", true), "Nov 15");
  assert.equal(format.tick("hour", "2026-11-15T00:00:00Z", false), "Nov 15");
  assert.equal(format.tick("minute", "2026-11-15T00:01:00Z", false), "00:01");
  assert.equal(format.tick("day", "2026-11-15T00:00:00Z", false), "Nov 15");
  assert.equal(format.tick("day", "2026-11-01T00:00:00Z", true), "Nov 2026");
  assert.equal(format.tick("month", "2026-11-01T00:00:00Z", false), "Nov 2026");
});
