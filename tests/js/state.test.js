import assert from "node:assert/strict";
import { test } from "node:test";

import { createState } from "../../static/js/state.js";
import { compareVersions } from "../../static/js/version.js";
import { snapshotOf } from "./helpers.js";

test("it works", () => {
  const state = createState();
  assert.equal(state.version, "");
  assert.ok(state.offer(snapshotOf("1-1")));
  assert.equal(state.version, "1-1");
});

test("versions are compared as numbers, the term first", () => {
  assert.ok(compareVersions("2-1", "1-999") > 0);
  assert.ok(compareVersions("1-10", "1-9") > 0);
  assert.ok(compareVersions("10-1", "9-1") > 0);
  assert.equal(compareVersions("3-4", "3-4"), 0);
});

test("an unreadable version is older than any other", () => {
  for (const odd of ["", "x", "1", "1-", "-1-2", "1-2-3"]) assert.ok(compareVersions(odd, "0-0") < 0, odd);
});

test("an older snapshot never replaces a newer one, nor does the same one", () => {
  const state = createState();
  state.offer(snapshotOf("12-345"));
  assert.equal(state.offer(snapshotOf("12-344")), false);
  assert.equal(state.offer(snapshotOf("11-999")), false);
  assert.equal(state.offer(snapshotOf("12-345")), false);
  assert.equal(state.version, "12-345");
  assert.ok(state.offer(snapshotOf("13-1")));
});
