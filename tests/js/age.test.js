import assert from "node:assert/strict";
import { test } from "node:test";

import { createAge, isStale } from "../../static/js/age.js";

const NOON = Date.parse("2026-11-15T12:00:00Z");

test("it works", () => {
  const age = createAge(() => NOON);
  assert.equal(age.of("2026-11-15T11:59:48Z"), 12);
});

test("the server's clock counts, not the reader's", () => {
  let wall = NOON - 3_600_000;
  const age = createAge(() => wall);
  age.hear(NOON);
  wall += 7000;
  assert.equal(age.of("2026-11-15T12:00:00Z"), 7);
});

test("nothing is younger than now, and nonsense is not heard", () => {
  const age = createAge(() => NOON);
  age.hear(Number.NaN);
  assert.equal(age.of("2026-11-15T12:00:05Z"), 0);
});

test("figures are stale when a refresh and a half are missing", () => {
  assert.equal(isStale(90, 60), false);
  assert.equal(isStale(90.1, 60), true);
});
