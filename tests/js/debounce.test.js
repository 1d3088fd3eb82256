import assert from "node:assert/strict";
import { test } from "node:test";

import { createDebounce } from "../../static/js/debounce.js";
import { manualTimers } from "./helpers.js";

function setUp() {
  const drawn = [];
  const timers = manualTimers();
  return { drawn, timers, debounce: createDebounce(5, (value) => drawn.push(value), timers) };
}

test("it works: the first is drawn at once", () => {
  const { drawn, debounce } = setUp();
  debounce.push("a");
  assert.deepEqual(drawn, ["a"]);
});

test("of those that follow, the newest is drawn when the wait is over", async () => {
  const { drawn, timers, debounce } = setUp();
  debounce.push("a");
  debounce.push("b");
  await timers.advance(4.9);
  debounce.push("c");
  assert.deepEqual(drawn, ["a"]);
  await timers.advance(0.1);
  assert.deepEqual(drawn, ["a", "c"]);
});

test("a steady flow does not put the drawing off for ever", async () => {
  const { drawn, timers, debounce } = setUp();
  for (let i = 0; i < 20; i += 1) {
    debounce.push(i);
    await timers.advance(1);
  }
  assert.deepEqual(drawn, [0, 5, 10, 15]);
});

test("a flush draws what is held, once", async () => {
  const { drawn, timers, debounce } = setUp();
  debounce.push("a");
  debounce.push("b");
  debounce.flush();
  assert.deepEqual(drawn, ["a", "b"]);
  debounce.flush();
  await timers.advance(10);
  assert.deepEqual(drawn, ["a", "b"]);
});
