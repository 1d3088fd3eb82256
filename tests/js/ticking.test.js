import assert from "node:assert/strict";
import { test } from "node:test";

import { createAge } from "../../static/js/age.js";
import { createFormat } from "../../static/js/format.js";
import { canaryWords, drawTimes } from "../../static/js/ticking.js";

const age = createAge(() => Date.parse("2026-11-15T12:00:00Z"));
const format = createFormat("h23", "UTC");
const at = "2026-11-15T11:59:18Z";

test("it works", () => {
  const canary = { at, countedMs: 12.4, streamedMs: 3, shownMs: 31_250 };
  assert.equal(canaryWords(canary, age, format), "42s ago, counted in 12 ms, shown in 31s");
});

test("one that was counted and not shown yet says so", () => {
  const canary = { at, countedMs: null, streamedMs: null, shownMs: null };
  assert.equal(canaryWords(canary, age, format), "42s ago, not shown yet");
});

/** A page with the three places that run. */
function pageOf() {
  const places = Object.fromEntries(
    ["last-event", "audit", "canary", "drift-help"].map((id) => [
      id,
      {
        textContent: "",
        dataset: {},
        attributes: {},
        hidden: false,
        getAttribute: () => null,
        setAttribute() {},
        parentElement: { hidden: false },
      },
    ]),
  );
  return { places, querySelectorAll: () => [], getElementById: (id) => places[id] };
}

for (const [name, audit, state, words] of [
  ["no check", null, "unknown", /^Not checked/],
  ["a check that held", { at, drift: 0 }, "no", /^All counters match the ledger, checked 42s ago$/],
  ["a check that did not", { at, drift: -3 }, "yes", /differ from the ledger by 3/],
  ["a result of no kind", { at, drift: null }, "unknown", /unknown/],
  ["a check of this morning", { at: "2026-11-15T08:00:00Z", drift: 0 }, "unknown", /overdue$/],
]) {
  test(`${name} is called what it is`, () => {
    const page = pageOf();
    drawTimes(page, { lastEventAt: null, audit, canary: null }, age, format);
    assert.equal(page.places.audit.dataset.drift, state);
    assert.match(page.places.audit.textContent, words);
    assert.equal(page.places["drift-help"].hidden, state !== "yes");
  });
}
