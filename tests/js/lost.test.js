import assert from "node:assert/strict";
import { test } from "node:test";

import { lostFrom, formatShare } from "../../static/js/lost.js";

for (const [share, words] of [
  [null, "–"],
  [0, "0%"],
  [1, "100%"],
  [0.999, "99%"],
  [0.1251, "12%"],
  [0.01249, "1.2%"],
  [0.00037, "0.037%"],
  [0.00000037, "<0.01%"],
]) {
  test(`a share of ${share} is ${words}`, () => assert.equal(formatShare(share), words));
}

test("what cannot be read is unknown in its own place", () => {
  const { days, accounts, complete } = lostFrom({ days: [{ day: "2026-02-31x", lost: "3", sends: 4 }, null], accounts: 3 });
  assert.deepEqual(
    days.map(({ day, sends, lost }) => [day, sends, lost]),
    [
      [null, 4, null],
      [null, null, null],
    ],
  );
  assert.deepEqual(accounts, []);
  assert.equal(complete, true);
});
