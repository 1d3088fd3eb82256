import assert from "node:assert/strict";
import { test } from "node:test";

import { createFormat } from "../../static/js/format.js";
import { importFrom, summaryOf, valueText } from "../../static/js/imported.js";

const format = createFormat("h23", "UTC");
const change = { instagramId: "1", field: "monthlyDmLimit", before: null, after: 5 };

for (const [more, words] of [
  [{ accounts: 1, changes: [change] }, "1 account changes."],
  [{ accounts: 2, unchanged: 1, failed: 1, changes: [change] }, "2 accounts change, 1 is already as in the file, 1 line is skipped. The first changes are:"],
  [{ accounts: 0, unchanged: 1200, failed: 2 }, "No account changes, 1,200 are already as in the file, 2 lines are skipped."],
  [{ accounts: 2, applied: true }, "2 accounts were changed."],
  [{ accounts: 1, applied: true }, "1 account was changed."],
]) {
  test(words, () => assert.equal(summaryOf(importFrom(more), format), words));
}

test("values in words", () => {
  assert.deepEqual([true, false, null, 0, "lumen"].map(valueText), ["yes", "no", "none", "0", "lumen"]);
});

test("an answer that cannot be read", () => {
  const { changes, errors, preview } = importFrom({ changes: [3], errors: [{ line: "x" }], preview: 7 });
  assert.deepEqual(changes, [{ instagramId: "", field: "", before: undefined, after: undefined }]);
  assert.deepEqual(errors, [{ line: "?", problem: "" }]);
  assert.equal(preview, "");
});
