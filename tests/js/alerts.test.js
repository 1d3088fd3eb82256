import assert from "node:assert/strict";
import { test } from "node:test";

import { channelsFrom, ruleWords, rulesFrom, toldOf } from "../../static/js/alerts.js";

const KINDS = [["drift", "The counters differ"]];

test("it works", () => {
  const channel = { id: "1", name: "Chat", address: "slack", incidents: ["drift", "new"], quietFrom: "22:00", quietTo: "07:00" };
  const { channels, kinds, timeZone } = channelsFrom({ channels: [channel], kinds: Object.fromEntries(KINDS), timeZone: "UTC" });
  assert.deepEqual(channels, [channel]);
  assert.deepEqual(kinds, KINDS);
  assert.equal(timeZone, "UTC");
  assert.equal(toldOf(channels[0], kinds), "The counters differ, new; quiet from 22:00 to 07:00");
});

test("a channel of the settings is told of all, always", () => {
  const [fixed] = channelsFrom({ channels: [{ id: null, name: "slack", address: "slack", incidents: null, quietFrom: null }] }).channels;
  assert.equal(fixed.id, null);
  assert.equal(toldOf(fixed, KINDS), "All incidents");
});

test("rules are told in words", () => {
  const rule = { id: "1", figure: "perMinute", sense: "above", threshold: 12.5, minutes: 10, since: null };
  const { rules, figures } = rulesFrom({ rules: [rule], figures: { perMinute: 3.5, "today.sent": 7 } });
  assert.deepEqual(rules, [rule]);
  assert.deepEqual(figures, [["perMinute", 3.5], ["today.sent", 7]]);
  assert.equal(ruleWords(rules[0]), "perMinute is above 12.5 for 10 minutes");
  assert.equal(ruleWords({ ...rule, sense: "below", threshold: 0.5, minutes: 0 }), "perMinute is below 0.5");
  const outside = { ...rule, figure: "sent", sense: "outside", threshold: null };
  assert.equal(ruleWords(outside), "sent DMs of a full hour are outside the expected range");
  assert.equal(ruleWords({ ...outside, minutes: 150 }), "sent DMs of 2 full hours are outside the expected range");
});

test("nonsense leads to nothing", () => {
  for (const json of [null, 7, [], { channels: 7, kinds: 7 }]) assert.deepEqual(channelsFrom(json).channels, []);
  assert.deepEqual(rulesFrom({ rules: "x", figures: null }), { rules: [], figures: [] });
});
