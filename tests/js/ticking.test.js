import assert from "node:assert/strict";
import { test } from "node:test";

import { createAge } from "../../static/js/age.js";
import { createFormat } from "../../static/js/format.js";
import { canaryWords } from "../../static/js/ticking.js";

const age = createAge(() => Date.parse("2026-11-15T12:00:00Z"));
const format = createFormat("en-GB", "UTC");
const at = "2026-11-15T11:59:18Z";

test("it works", () => {
  const canary = { at, countedMs: 12.4, streamedMs: 3, shownMs: 31_250 };
  assert.equal(canaryWords(canary, age, format), "42s ago, counted in 12 ms, shown in 31s");
});

test("one that was counted and not shown yet says so", () => {
  const canary = { at, countedMs: null, streamedMs: null, shownMs: null };
  assert.equal(canaryWords(canary, age, format), "42s ago, none shown yet");
});
