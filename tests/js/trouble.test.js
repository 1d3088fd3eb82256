import assert from "node:assert/strict";
import { test } from "node:test";

import { createFormat } from "../../static/js/format.js";
import { warningOf } from "../../static/js/trouble.js";

const format = createFormat("h23", "UTC");
const calm = { failingSince: null, disabledAt: null, silentSince: null, silence: null };
const failing = { ...calm, failingSince: "2026-11-15T12:00:00Z", disabledAt: "2026-11-15T13:00:00Z" };

test("it works", () => {
  assert.equal(warningOf(null, 0, format), null);
  assert.equal(warningOf(calm, 0, format), null);
});

test("failing deliveries count down to the hour at which Meta disables the webhook", () => {
  const notice = warningOf(failing, Date.parse("2026-11-15T12:18:00Z"), format);
  assert.equal(notice.level, "bad");
  assert.equal(
    notice.text,
    "No delivery was acknowledged for 18m. Meta may disable the webhook in 42m, at 13:00.",
  );
  const last = warningOf(failing, Date.parse("2026-11-15T12:50:30Z"), format);
  assert.match(last.text, /in 9m 30s, at 13:00/);
});

test("after that hour it says what to do", () => {
  const notice = warningOf(failing, Date.parse("2026-11-15T13:00:01Z"), format);
  assert.match(notice.text, /may have disabled the webhook: check the Meta app/);
});

test("what fails is told before what is silent, and the announcement does not count", () => {
  const silent = { ...calm, silentSince: "2026-11-15T12:00:00Z", silence: "No DM for 30 minutes." };
  assert.equal(warningOf(silent, 0, format).level, "warn");
  assert.match(warningOf(silent, 0, format).text, /^No DM for 30 minutes. Is the webhook still subscribed/);
  const both = warningOf({ ...silent, ...failing }, Date.parse("2026-11-15T12:18:00Z"), format);
  assert.equal(both.level, "bad");
  assert.doesNotMatch(both.announcement, /\d/);
});
