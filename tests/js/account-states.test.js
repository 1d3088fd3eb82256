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
    ["1,234 near their monthly limit", "1 new"],
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
  assert.match(near.text, /^Near monthly limit: 90% .* reached on .*20/);
});

test("an account near its hourly limit says what it has sent, and when the limit is reached", () => {
  const hourlyUse = { at: "2026-11-11T15:00:00Z", sent: 171, before: 90, limit: 200, limitReachedAt: "2026-11-11T15:48:00Z" };
  const about = (more) => sentencesOf(account({ states: ["near-hour-limit"], hourlyUse: { ...hourlyUse, ...more } }), format, () => 1)[0].text;
  assert.equal(
    about({}),
    "Near hourly limit: 90 sent from 14:00 to 15:00, 171 since; the limit is 200 an hour. At this rate this hour reaches it at 15:48.",
  );
  assert.equal(about({ before: null, limitReachedAt: null }), "Near hourly limit: 171 since 15:00; the limit is 200 an hour.");
  assert.equal(about({ at: "soon" }), "Near hourly limit: in this hour or the one before.");
});

test("a state of another release, and words that are no state, are not shown", () => {
  assert.deepEqual(knownStates(["constructor", "__proto__", "hungry"]), []);
  assert.deepEqual(knownStates(null), []);
});
