import assert from "node:assert/strict";
import { test } from "node:test";

import { growth } from "../../static/js/cards.js";
import { figuresOf, isEmpty } from "../../static/js/figures.js";
import { createFormat } from "../../static/js/format.js";
import { linePath } from "../../static/js/sparkline.js";
import { otherEvents } from "../../static/js/terms.js";
import { snapshotFrom } from "../../static/js/wire/snapshot.js";
import * as helpers from "./helpers.js";

const snapshotOf = (version, over) => snapshotFrom(helpers.snapshotOf(version, over));

const format = createFormat("h23", "UTC");

test("it works", () => {
  const figures = figuresOf(snapshotOf("1-1"), format);
  assert.equal(figures["total.sent"].text, "1,234,567");
  assert.equal(figures["today.received"].text, "80");
  assert.equal(figures["month.name"].text, "Nov 2026");
  assert.equal(figures["now.rate"].text, "1.7");
});

test("a change is shown against the same part of the span before, where it is known", () => {
  const shown = (before) =>
    figuresOf(snapshotOf("1-1", { today: { sent: 120, received: 0, before } }), format)["today.change"];
  assert.equal(shown(undefined).text, "29 sent yesterday");
  assert.equal(shown({ sent: 100, received: 0 }).text, "+20% vs this time yesterday");
  assert.equal(shown({ sent: 0, received: 0 }).text, "None by this time yesterday");
});

test("without a month to compare with, the month's mean is shown, from its second day on", () => {
  const shown = (computedAt) => figuresOf(snapshotOf("1-1", { computedAt }), format)["month.change"].text;
  assert.equal(shown("2026-11-11T00:00:00Z"), "400 sent a day on average");
  assert.equal(shown("2026-11-01T23:59:59Z"), "");
});

test("rejected entries stand out only if there are any", () => {
  assert.equal(figuresOf(snapshotOf("1-1"), format).rejected.tone, undefined);
  assert.equal(figuresOf(snapshotOf("1-1", { rejected: 2 }), format).rejected.tone, "warn");
});

test("other events are named, the most first, without the empty ones", () => {
  const { events } = snapshotOf("1-1", { events: { reaction: 5, seen: 2000, edit: 0, hover: 7, odd: "x" } });
  const found = otherEvents(events, format);
  assert.deepEqual(
    found.map(({ name, text }) => [name, text]),
    [["Seen", "2,000"], ["hover", "7"], ["Reactions", "5"], ["odd", "–"]],
  );
  assert.match(found[0].about, /Read receipts/);
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
    ["2 at this time yesterday", "+100% vs this time last month", "\u221250%", "+10 active since Oct 20", "\u22122"],
  );
  assert.equal(figures["total.growth"].text, "0% in 30 days");
});

test("people counted for the first time today have nothing to compare with", () => {
  const population = [{ at: "2026-11-15T00:00:00Z", activeAccounts: 30, users: 9 }];
  assert.equal(figuresOf(snapshotOf("1-1", { population }), format)["accounts.change"].text, "2 inactive");
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

test("a percentage is shown only if its base and its size make sense", () => {
  const shown = (sent, earlier) => {
    const before = { sent: earlier, received: earlier };
    const figures = figuresOf(snapshotOf("1-1", { today: { sent, received: sent, before } }), format);
    return [figures["today.change"].text, figures["today.got"].text];
  };
  assert.deepEqual(shown(418, 10), ["10 by this time yesterday", ""]);
  assert.deepEqual(shown(4180, 100), ["100 by this time yesterday", ""]);
  assert.deepEqual(shown(0, 100), ["100 by this time yesterday", ""]);
  assert.deepEqual(shown(100, 100), ["Same as yesterday by this time", "0%"]);
  assert.deepEqual(shown(80, 100), ["\u221220% vs this time yesterday", "\u221220%"]);
});

test("the first day has no yesterday, and no average over days before counting began", () => {
  const young = { since: "2026-11-15T11:20:00Z", today: { sent: 290, received: 10, before: null } };
  const figures = figuresOf(
    snapshotOf("1-1", { ...young, month: { month: "2026-11", sent: 290, received: 10, before: null } }),
    format,
  );
  assert.equal(figures["today.change"].text, "Counting since 11:20");
  assert.equal(figures["month.change"].text, "");
  const later = figuresOf(
    snapshotOf("1-1", { since: "2026-11-13T12:34:56Z", month: { month: "2026-11", sent: 290, received: 10, before: null } }),
    format,
  );
  assert.equal(later["month.change"].text, "145 sent a day on average");
});

test("the totals of a young service grew since it began, not in 30 days", () => {
  const days = [{ at: "2026-10-17T00:00:00Z", sent: 0, received: 0 }, { at: "2026-11-15T00:00:00Z", sent: 290, received: 3 }];
  const figures = figuresOf(
    snapshotOf("1-1", { since: "2026-11-15T11:20:00Z", totalDMsSent: 290, totalDMsReceived: 3, series: { minutes: [], hours: [], days } }),
    format,
  );
  assert.equal(figures["total.growth"].text, "Counting since Nov 15, 2026");
});

test("the peak is told in the unit of the rate: sent and received in a minute", () => {
  const shown = (...counts) => {
    const first = Date.parse("2026-11-15T12:34:00Z") - (counts.length - 1) * 60_000;
    const minutes = counts.map((n, i) => ({ at: new Date(first + i * 60_000).toISOString(), sent: n, received: n }));
    return figuresOf(snapshotOf("1-1", { series: { minutes, hours: [], days: [] } }), format)["now.peak"];
  };
  assert.equal(shown(4, 9, 3).text, "Peak 18 at 12:33");
  assert.match(shown(4, 9, 3).title, /^18 sent and received in the busiest minute of the last hour, 2026-11-15 12:33/);
  assert.equal(shown(0, 0, 0).text, "None in the last hour");
});

test("the current minute is the peak as soon as it exceeds the others", () => {
  // 60 and 59, and the minute has 4 seconds left.
  const shown = (over) => figuresOf(snapshotOf("1-1", over), format)["now.peak"].text;
  assert.equal(shown({}), "Peak 119 at 12:34");
  const minutes = [{ at: "2026-11-15T12:34:00Z", sent: 301, received: 0 }];
  assert.equal(shown({ perMinute: 0, series: { minutes, hours: [], days: [] } }), "Peak 301 at 12:34");
});

test("a long number is short, with the exact one beside it", () => {
  const figure = figuresOf(snapshotOf("1-1", { totalDMsSent: 684_497_484 }), format)["total.sent"];
  assert.deepEqual(figure, { text: "684.4M", exact: "684,497,484", title: "684,497,484" });
});

test("the day began yesterday west of Greenwich", () => {
  const west = createFormat("h12", "America/Los_Angeles");
  const text = figuresOf(snapshotOf("1-1", { computedAt: "2026-11-15T20:00:00Z" }), west)["today.since"].text;
  assert.equal(text.replaceAll(/[\u00a0\u202f]/g, " "), "since yesterday 04:00 PM");
});

test("the day and the month are those of the figures' time zone", () => {
  const berlin = createFormat("h23", "UTC", "Europe/Berlin");
  const days = [{ at: "2026-11-14T23:00:00Z", sent: 1, received: 1 }];
  const figures = figuresOf(snapshotOf("1-1", { series: { minutes: [], hours: [], days } }), berlin);
  assert.deepEqual(figures["today.since"], {
    text: "since yesterday 23:00",
    title: "Days begin at 00:00 Europe/Berlin",
  });
  assert.equal(figures["month.name"].title, "Months begin at 00:00 Europe/Berlin on the 1st");
});
