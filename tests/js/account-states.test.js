import assert from "node:assert/strict";
import { test } from "node:test";

import { countsOf, knownStates, listOf, sentencesOf, STATES } from "../../static/js/account-states.js";
import { createFormat } from "../../static/js/format.js";
import { accountFrom } from "../../static/js/wire/accounts.js";

const format = createFormat("h23", "UTC");
const account = (more) => accountFrom({ instagramId: "1", monthlyDmUsed: 90, monthlyDmLimit: 100, ...more });

test("it works", () => {
  const counts = { new: 1, silent: 0, "near-limit": 1234, "over-limit": null };
  assert.deepEqual(
    countsOf({ counts }, format).map(({ text }) => text),
    ["1,234 near their limit", "1 new"],
  );
  assert.deepEqual(countsOf(null, format), []);
  assert.equal(listOf("silent"), "/accounts?sort=lastDMSent&state=silent");
});

test("each state has a sentence", () => {
  for (const state of Object.keys(STATES)) {
    const [sentence] = sentencesOf(account({ states: [state] }), format, () => 3600);
    assert.match(sentence.text, /^[A-Z][^:]+: [a-z0-9].*\.$/);
  }
});

test("a silent account says since when, and one near its limit when it is reached", () => {
  const states = ["silent", "near-limit"];
  const told = account({ states, lastDMSent: "2026-11-11T00:00:00Z", limitReachedAt: "2026-11-20T12:00:00Z" });
  const [silent, near] = sentencesOf(told, format, () => 2 * 86_400);
  assert.match(silent.text, /nothing sent for 2d/);
  assert.match(near.text, /^Near its limit: 90% .* reached on .*20/);
});

test("a state of another release, and words that are no state, are not shown", () => {
  assert.deepEqual(knownStates(["constructor", "__proto__", "hungry"]), []);
  assert.deepEqual(knownStates(null), []);
});
