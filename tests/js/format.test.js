import assert from "node:assert/strict";
import { test } from "node:test";

import { createFormat } from "../../static/js/format.js";

const english = createFormat("en-GB", "Europe/Berlin");
const plain = (text) => text.replaceAll(/[\u00a0\u202f]/g, " ");

test("it works", () => {
  assert.equal(english.count(1234567), "1,234,567");
});

test("numbers follow the reader's language", () => {
  assert.equal(createFormat("de-DE", "UTC").count(1234567), "1.234.567");
});

test("times follow the reader's zone, hovers say UTC", () => {
  assert.equal(english.time("2026-11-15T12:34:56Z"), "13:34");
  assert.equal(english.utc("2026-11-15T12:34:56.789Z"), "2026-11-15 12:34:56 UTC");
});

test("days and months keep their UTC names west of Greenwich", () => {
  const west = createFormat("en-GB", "America/Los_Angeles");
  assert.equal(west.day("2026-11-15T00:00:00Z"), "15 Nov");
  assert.match(west.bucket("month", "2026-11-15T00:00:00Z"), /^Sun,? 15 Nov$/);
  assert.equal(west.month("2026-11"), "November 2026");
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
  assert.equal(english.change(-0.2), "-20%");
});
