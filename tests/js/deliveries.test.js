import assert from "node:assert/strict";
import { test } from "node:test";

import { detailsOf, outcomeOf } from "../../static/js/deliveries.js";
import { createFormat } from "../../static/js/format.js";
import { deliveriesFrom } from "../../static/js/wire/deliveries.js";

const format = createFormat("h23", "UTC");
const one = (more) => deliveriesFrom({ deliveries: [{ status: 200, counts: {}, ...more }] }).deliveries[0];

for (const [more, words] of [
  [{ status: 401, reason: "No signature" }, "No signature"],
  [{ counts: { rejected: 2 }, rejected: [{ path: "entry[].id", kind: "entry" }] }, "2 rejected: entry[].id"],
  [{ counts: { rejected: 1 } }, "1 rejected by the database"],
  [{ counts: { sent: 3, received: 0, other: 1 } }, "3 sent, 1 other"],
  [{}, "no events"],
]) {
  test(`${JSON.stringify(more)} is told as ${words}`, () => {
    assert.equal(outcomeOf(one(more), format), words);
  });
}

test("details leave out what is not known", () => {
  assert.deepEqual(detailsOf(one({}), format), []);
  const all = detailsOf(
    one({
      bytes: 1234, entries: 2, kinds: { sent: 1 }, counts: { sent: 1, rejected: 0 }, ms: 3.2, requestId: "abc",
      rejected: [{ path: "entry[].id", kind: "entry", account: null }, { path: "p", kind: "k", account: "1" }],
    }),
    format,
  );
  assert.deepEqual(Object.fromEntries(all), {
    Size: "1,234 bytes", Entries: "2", Events: "1 sent", Answered: "1 sent", Duration: "3.2 ms", Request: "abc",
    Rejected: "entry[].id (entry); p (k, account 1)",
  });
});

test("odd values are unknown", () => {
  const { deliveries, names } = deliveriesFrom({ deliveries: [null, { kinds: 3 }], names: [{}, 7] });
  assert.equal(deliveries.length, 2);
  assert.deepEqual(names[0], { name: "unnamed", counted: false, firstAt: null, lastAt: null, keys: [] });
});
