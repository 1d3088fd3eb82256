import assert from "node:assert/strict";
import { test } from "node:test";

import { limitOf, linkOf, nameOf, shareText } from "../../static/js/accounts.js";
import { createFormat } from "../../static/js/format.js";
import { accountFrom } from "../../static/js/wire/accounts.js";

const A = accountFrom({ instagramId: "1", username: "anna", dmUsed: 10, monthlyDmUsed: 9 });
const B = accountFrom({ instagramId: "2", username: null, dmUsed: 30, monthlyDmUsed: 3 });
const format = createFormat("h23", "UTC");

test("it works", () => {
  assert.equal(nameOf(A), "@anna");
  assert.equal(linkOf(A), "/accounts/1");
});

test("an account without a name is called by its id, and one without either is unknown", () => {
  assert.equal(nameOf(B), "2");
  assert.equal(nameOf(accountFrom({})), "unknown");
  assert.equal(nameOf(accountFrom({ instagramId: "2", username: "  " })), "2");
});

test("marks that turn the direction of a name are not shown", () => {
  assert.equal(nameOf(accountFrom({ username: "user\u202egnp.exe" })), "@usergnp.exe");
});

for (const [id, address] of [
  ["17841400000000001", "/accounts/17841400000000001"],
  ["a b", "/accounts/a%20b"],
  ["%2e", "/accounts/%252e"],
  ["a#b?c", "/accounts/a%23b%3Fc"],
  ["a/b", null],
  ["..", null],
  [".", null],
  ["", null],
  ["\ud800", null],
  [null, null],
]) {
  test(`the id ${JSON.stringify(id)} leads to ${address}`, () => {
    assert.equal(linkOf({ instagramId: id }), address);
  });
}

for (const [used, limit, level] of [
  [79, 100, "fine"],
  [80, 100, "near"],
  [100, 100, "over"],
  [104, 100, "over"],
  [0, 0, "over"],
  [3, 0, "over"],
]) {
  test(`${used} of ${limit} is ${level}`, () => {
    assert.equal(limitOf({ ...A, monthlyDmUsed: used, monthlyDmLimit: limit }).level, level);
  });
}

test("a limit of 0 is a limit", () => {
  assert.equal(shareText({ ...A, monthlyDmLimit: 0 }, format), "limit 0");
  assert.equal(shareText({ ...A, monthlyDmLimit: 18 }, format), "50%");
});

test("no limit is none, and what is unknown is not used", () => {
  for (const none of [undefined, null, -1]) assert.equal(limitOf({ ...A, monthlyDmLimit: none }), null);
  assert.equal(limitOf({ monthlyDmUsed: null, monthlyDmLimit: 100 }), null);
});
