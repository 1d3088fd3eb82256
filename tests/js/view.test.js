import assert from "node:assert/strict";
import { test } from "node:test";

import { readView, writeView } from "../../static/js/view.js";

test("it works", () => {
  assert.deepEqual(readView("?range=month&sort=name"), { range: "month" });
});

test("the usual view needs no address", () => {
  assert.equal(writeView(readView("")), "");
});

test("an address is read back as it was written", () => {
  for (const range of ["hour", "day", "month"]) {
    assert.deepEqual(readView(writeView({ range })), { range });
  }
});

test("nonsense is the usual view", () => {
  assert.deepEqual(readView("?range=__proto__&sort=1&x=2"), readView(""));
});
