import assert from "node:assert/strict";
import { test } from "node:test";

import { apiQuery, COMPARISONS, RANGES, readView, seriesOf, UNITS, unitsFor, writeView } from "../../static/js/view.js";

const NOW = Date.parse("2026-11-15T12:34:56Z");
const USUAL = { range: "hour", from: "", to: "", unit: "", compare: "none" };

test("it works", () => {
  const view = readView("?range=30d&unit=week&compare=year&sort=name");
  assert.deepEqual(view, { range: "30d", from: "", to: "", unit: "week", compare: "year" });
});

test("the usual view needs no address", () => {
  assert.deepEqual(readView(""), USUAL);
  assert.equal(writeView(readView("")), "");
});

test("an address is read back as it was written", () => {
  for (const range of Object.keys(RANGES)) {
    for (const unit of ["", ...UNITS]) {
      for (const compare of COMPARISONS) {
        const view = { ...USUAL, range, unit, compare };
        assert.deepEqual(readView(writeView(view)), view);
      }
    }
  }
  const view = { range: "custom", from: "2024-02-29", to: "2026-11-15", unit: "month", compare: "previous" };
  assert.equal(writeView(view), "?from=2024-02-29&to=2026-11-15&unit=month&compare=previous");
  assert.deepEqual(readView(writeView(view)), view);
});

test("a page may have another usual range", () => {
  assert.equal(readView("", "24h").range, "24h");
  assert.equal(writeView(readView("", "24h"), "24h"), "");
  assert.equal(writeView(readView("?range=7d", "24h"), "24h"), "?range=7d");
});

test("nonsense is the usual view", () => {
  for (const nonsense of [
    "?range=__proto__&unit=fortnight&compare=x",
    "?range=custom",
    "?from=2026-11-02&to=2026-11-01",
    "?from=2026-02-29&to=2026-03-01",
    "?from=2026-11-01",
    "?from=2026-11-1&to=2026-11-15",
    "?from=2026-99-01&to=2026-99-02",
  ]) {
    assert.deepEqual(readView(nonsense), USUAL, nonsense);
  }
});

test("no two ranges have the same key", () => {
  const keys = [...Object.values(RANGES).map(({ key }) => key), "c", "x"];
  assert.equal(new Set(keys).size, keys.length);
});

test("the API is asked for what is seen", () => {
  const query = apiQuery({ ...USUAL, range: "7d", compare: "weekdays" }, { tz: "Asia/Kolkata", weekStart: "sunday" });
  assert.equal(String(query), "range=7d&compare=weekdays&tz=Asia%2FKolkata&weekStart=sunday");
  const expected = apiQuery({ ...USUAL, range: "7d", compare: "expected" }, { weekStart: "monday" });
  assert.equal(String(expected), "range=7d&band=true&weekStart=monday");
  const dates = apiQuery({ ...USUAL, range: "custom", from: "2026-01-01", to: "2026-01-31", unit: "hour" }, { weekStart: "monday" });
  assert.equal(String(dates), "from=2026-01-01&to=2026-01-31&unit=hour&weekStart=monday");
});

test("what the snapshot has is not asked for", () => {
  assert.equal(seriesOf(readView("")), "hour");
  assert.equal(seriesOf(readView("?range=24h")), "day");
  assert.equal(seriesOf(readView("?range=30d")), "month");
  for (const search of ["?range=7d", "?range=all", "?unit=minute", "?compare=previous", "?from=2026-11-01&to=2026-11-02"]) {
    assert.equal(seriesOf(readView(search)), null, search);
  }
});

test("only units with a fit number of points are offered", () => {
  const units = (search, since = null) => unitsFor(readView(search), NOW, since);
  assert.deepEqual(units("?range=hour"), ["minute", "hour"]);
  assert.deepEqual(units("?range=today"), ["hour", "day"]);
  assert.deepEqual(units("?range=7d"), ["hour", "day", "week"]);
  assert.deepEqual(units("?range=month"), ["hour", "day", "week", "month"]);
  assert.deepEqual(units("?range=90d"), ["day", "week", "month"]);
  assert.deepEqual(units("?range=12m"), ["day", "week", "month"]);
  assert.deepEqual(units("?range=all"), ["hour", "day"]);
  assert.deepEqual(units("?range=all", Date.parse("2020-01-01T00:00:00Z")), ["week", "month"]);
  assert.deepEqual(units("?from=2020-01-01&to=2029-01-01"), ["week", "month"]);
});
