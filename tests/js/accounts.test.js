import assert from "node:assert/strict";
import { test } from "node:test";

import { limitOf, nameOf, sortAccounts } from "../../static/js/accounts.js";

const A = { instagramId: "1", username: "anna", dmUsed: 10, monthlyDmUsed: 9, lastDMSent: "2026-11-01T00:00:00Z" };
const B = { instagramId: "2", username: null, dmUsed: 30, monthlyDmUsed: 3, lastDMSent: null };
const C = { instagramId: "3", username: "carl", dmUsed: 20, monthlyDmUsed: 3, lastDMSent: "2026-11-02T00:00:00Z" };
const ids = (accounts) => accounts.map((account) => account.instagramId).join("");

test("it works", () => {
  assert.equal(ids(sortAccounts([A, B, C], "total")), "231");
});

test("every order, equal ones by id", () => {
  assert.equal(ids(sortAccounts([C, B, A], "month")), "123");
  assert.equal(ids(sortAccounts([A, B, C], "recent")), "312");
  assert.equal(ids(sortAccounts([C, B, A], "name")), "132");
});

test("the list that was given stays as it was", () => {
  const given = [A, B, C];
  sortAccounts(given, "total");
  assert.equal(ids(given), "123");
});

test("an account without a name is called by its id", () => {
  assert.equal(nameOf(A), "@anna");
  assert.equal(nameOf(B), "2");
});

for (const [used, limit, level] of [
  [79, 100, "fine"],
  [80, 100, "near"],
  [100, 100, "over"],
  [104, 100, "over"],
]) {
  test(`${used} of ${limit} is ${level}`, () => {
    assert.equal(limitOf({ ...A, monthlyDmUsed: used, monthlyDmLimit: limit }).level, level);
  });
}

test("no limit is no limit", () => {
  for (const none of [undefined, null, 0, -1]) assert.equal(limitOf({ ...A, monthlyDmLimit: none }), null);
});
