import assert from "node:assert/strict";
import { test } from "node:test";

import { growth } from "../../static/js/cards.js";
import { figuresOf, isEmpty, otherEvents } from "../../static/js/figures.js";
import { createFormat } from "../../static/js/format.js";
import { linePath } from "../../static/js/sparkline.js";
import { snapshotOf } from "./helpers.js";

const format = createFormat("en-GB", "UTC");

test("it works", () => {
  const figures = figuresOf(snapshotOf("1-1"), format);
  assert.equal(figures["total.sent"].text, "1,234,567");
  assert.equal(figures["today.received"].text, "80");
  assert.equal(figures["month.name"].text, "November 2026");
  assert.equal(figures["now.rate"].text, "1.7");
});

test("a change is shown against the same part of the span before, where it is known", () => {
  const shown = (before) =>
    figuresOf(snapshotOf("1-1", { today: { sent: 120, received: 0, before } }), format)["today.change"];
  assert.equal(shown(undefined).text, "29 sent yesterday in all");
  assert.equal(shown({ sent: 100, received: 0 }).text, "+20% on this time yesterday");
  assert.equal(shown({ sent: 0, received: 0 }).text, "None by this time yesterday");
});

test("without a month to compare with, the month's mean is shown, from its second day on", () => {
  const shown = (computedAt) => figuresOf(snapshotOf("1-1", { computedAt }), format)["month.change"].text;
  assert.equal(shown("2026-11-11T00:00:00Z"), "400 sent a day");
  assert.equal(shown("2026-11-01T23:59:59Z"), "");
});

test("rejected entries stand out only if there are any", () => {
  assert.equal(figuresOf(snapshotOf("1-1"), format).rejected.tone, undefined);
  assert.equal(figuresOf(snapshotOf("1-1", { rejected: 2 }), format).rejected.tone, "warn");
});

test("other events are named, the most first, without the empty ones", () => {
  const events = { reaction: 5, seen: 2000, edit: 0, hover: 7 };
  assert.deepEqual(otherEvents(events, format), [
    { name: "Seen", text: "2,000" },
    { name: "hover", text: "7" },
    { name: "Reactions", text: "5" },
  ]);
});

test("the page is empty until something was counted", () => {
  assert.equal(isEmpty(snapshotOf("1-1")), false);
  const nothing = { totalDMsSent: 0, totalDMsReceived: 0, lastEventAt: null };
  assert.equal(isEmpty(snapshotOf("1-1", nothing)), true);
  assert.equal(isEmpty(snapshotOf("1-1", { ...nothing, lastEventAt: "2026-11-15T12:00:00Z" })), false);
});

test("growth adds up", () => {
  assert.deepEqual(growth([1, null, 3]), [1, 1, 4]);
});

test("a trend lifts the pen over a gap", () => {
  assert.equal(linePath([0, 10, null, 10]), "M0 30.5L40 1.5M120 1.5h0");
  assert.equal(linePath([]), "");
  assert.equal(linePath([7]), "");
  assert.equal(linePath([0, 0]), "M0 30.5L120 30.5");
});

test("every tile has a change to show", () => {
  const figures = figuresOf(
    snapshotOf("1-1", {
      perMinuteBefore: 2,
      month: { month: "2026-11", sent: 4000, received: 3000, before: { sent: 2000, received: 6000 } },
      population: [{ at: "2026-10-20T00:00:00Z", activeAccounts: 30, users: 9 }],
    }),
    format,
  );
  assert.deepEqual(
    ["now.change", "month.change", "month.got", "accounts.change", "users.change"].map((name) => figures[name].text),
    ["-17% on yesterday", "+100% on this time last month", "-50%", "+10 active since 20 Oct", "-2"],
  );
  assert.match(figures["total.growth"].text, /^\+?0% in 30 days$/);
});

test("people counted for the first time today have nothing to compare with", () => {
  const population = [{ at: "2026-11-15T00:00:00Z", activeAccounts: 30, users: 9 }];
  assert.equal(figuresOf(snapshotOf("1-1", { population }), format)["accounts.change"].text, "2 not active");
});

test("nothing has grown by no per cent", () => {
  const nothing = { totalDMsSent: 0, totalDMsReceived: 0, series: { minutes: [], hours: [], days: [] } };
  const figures = figuresOf(snapshotOf("1-1", nothing), format);
  assert.equal(figures["total.growth"].text, "0 sent in 0 days");
  assert.equal(figures["total.got"].text, "");
});

test("a total that more than doubled is told by its growth alone", () => {
  const figures = figuresOf(snapshotOf("1-1", { totalDMsSent: 500, totalDMsReceived: 450 }), format);
  assert.equal(figures["total.growth"].text, "465 sent in 30 days");
  assert.equal(figures["total.got"].text, "");
});
