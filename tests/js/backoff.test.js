import assert from "node:assert/strict";
import { test } from "node:test";

import { retryDelay } from "../../static/js/backoff.js";

test("it works: it doubles up to a bound", () => {
  const delays = [0, 1, 2, 3, 4, 5, 60].map((attempt) => retryDelay(false, attempt, 1));
  assert.deepEqual(delays, [1, 2, 4, 8, 16, 30, 30]);
});

test("a server at its connection limit is retried after a longer wait", () => {
  assert.equal(retryDelay(true, 0, 1), 15);
  assert.equal(retryDelay(true, 60, 1), 240);
});

test("half of the wait is left to chance", () => {
  assert.equal(retryDelay(false, 3, 0), 4);
  assert.ok(retryDelay(false, 3, 0.5) > 4);
});
