import assert from "node:assert/strict";
import { test } from "node:test";

import { createAnnouncer } from "../../static/js/announce.js";
import { initialFacts } from "../../static/js/connection.js";
import { createFormat } from "../../static/js/format.js";
import { announcement, BADGES, sentence } from "../../static/js/words.js";
import { readSettings } from "../../static/js/settings.js";
import { manualTimers } from "./helpers.js";

const format = createFormat("h23", "UTC");
const facts = initialFacts({ online: true, visible: true });
const settings = { poll: 30, refresh: 60 };

test("it works", () => {
  assert.equal(sentence("live", facts, 12, settings, format), "Updated 12s ago");
});

test("every state has a word, a sentence and an announcement", () => {
  for (const mode of Object.keys(BADGES)) {
    assert.ok(sentence(mode, facts, 12, settings, format).length > 5, mode);
    assert.equal(typeof announcement(mode, facts), "string", mode);
  }
});

test("every sentence carries the figures' age", () => {
  for (const mode of Object.keys(BADGES)) {
    assert.match(sentence(mode, facts, 200, settings, format), /3m 20s ago/, mode);
  }
});

test("an offline device is not blamed on the service", () => {
  assert.match(sentence("offline", { ...facts, online: false }, 5, settings, format), /This device seems to be offline/);
  assert.match(sentence("offline", facts, 5, settings, format), /The service does not answer/);
});

test("an update that is overdue says for how long", () => {
  assert.match(sentence("stale", facts, 95, settings, format), /^The last update was due 35s ago\./);
});

test("no announcement counts seconds", () => {
  for (const mode of Object.keys(BADGES)) assert.doesNotMatch(announcement(mode, facts), /\d/, mode);
});

test("only a state that lasts is announced", async () => {
  const line = { textContent: "" };
  const timers = manualTimers();
  const announce = createAnnouncer(line, timers);
  announce("Reconnecting.");
  await timers.advance(0.5);
  announce("Live.");
  await timers.advance(0.5);
  assert.equal(line.textContent, "");
  await timers.advance(1.5);
  assert.equal(line.textContent, "Live.");
});

test("settings come from the page, else the usual ones", () => {
  const read = readSettings({ debounce: "0", poll: "7", refresh: "x" });
  assert.deepEqual([read.debounce, read.poll, read.refresh, read.heartbeat], [0, 7, 60, 15]);
});
