import assert from "node:assert/strict";
import { test } from "node:test";

import { initialFacts, modeOf, step, desiredConnections } from "../../static/js/connection.js";

function after(...events) {
  return events.reduce(
    (facts, event) => step(facts, typeof event === "string" ? { type: event } : event),
    initialFacts({ online: true, visible: true }),
  );
}
const LOST = { type: "stream-lost", refused: false };
const REFUSED = { type: "stream-lost", refused: true };
const DEAF = { type: "heartbeat", live: false };
const FINE = { type: "heartbeat", live: true };
const poll = (result) => ({ type: "poll", result });

test("it works", () => {
  assert.equal(modeOf(after("stream-opening", "stream-open"), false), "live");
});

for (const [name, events, mode] of [
  ["a page just opened", [], "connecting"],
  ["opening for the first time", ["stream-opening"], "connecting"],
  ["a stream that broke off", ["stream-open", LOST], "reconnecting"],
  ["and polls meanwhile", ["stream-open", LOST, poll("ok")], "polling"],
  ["and goes on trying while it polls", ["stream-open", LOST, poll("ok"), "stream-opening", LOST], "polling"],
  ["and comes back", ["stream-open", LOST, poll("ok"), "stream-opening", "stream-open"], "live"],
  ["over the cap", ["stream-opening", REFUSED, poll("ok")], "polling"],
  ["over the cap, not polled yet", ["stream-opening", REFUSED], "reconnecting"],
  ["a server that lost Redis", ["stream-open", DEAF, poll("ok")], "polling"],
  ["a server that lost Redis, not polled yet", ["stream-open", DEAF], "reconnecting"],
  ["a server that found Redis again", ["stream-open", DEAF, poll("ok"), FINE], "live"],
  ["a service that is gone", ["stream-open", LOST, poll("unreachable")], "offline"],
  ["a proxy in front that wants a sign-in", ["stream-open", LOST, poll("redirected")], "expired"],
  ["the same once somebody signed in there", ["stream-open", LOST, poll("redirected"), poll("ok")], "polling"],
  ["a service that answers with errors", ["stream-open", LOST, poll("error")], "reconnecting"],
  ["a device that is offline", ["stream-open", "offline", poll("unreachable")], "offline"],
  ["a browser that only says it is offline", ["stream-open", "offline", poll("ok")], "live"],
  ["a browser that was wrong about it", ["stream-open", "offline", poll("unreachable"), FINE], "live"],
  ["a device that is back", ["stream-open", "offline", poll("unreachable"), "stream-closed", "online"], "reconnecting"],
  ["paused", ["stream-open", "pause"], "paused"],
  ["paused and then offline", ["stream-open", "pause", "offline"], "paused"],
  ["signed out", ["stream-open", LOST, "expired"], "expired"],
  ["a poll while the stream is open", ["stream-open", poll("unreachable")], "live"],
]) {
  test(`the badge for ${name}: ${mode}`, () => assert.equal(modeOf(after(...events), false), mode));
}

test("old figures are stale, however they come", () => {
  assert.equal(modeOf(after("stream-open"), true), "stale");
  assert.equal(modeOf(after("stream-open", LOST, poll("ok")), true), "stale");
});

test("offline, paused and signed out say more than stale does", () => {
  assert.equal(modeOf(after("offline", poll("unreachable")), true), "offline");
  assert.equal(modeOf(after("pause"), true), "paused");
  assert.equal(modeOf(after("expired"), true), "expired");
});

test("what an earlier poll said is forgotten when the stream breaks off", () => {
  assert.equal(modeOf(after("stream-open", poll("ok"), LOST), false), "reconnecting");
});

test("the page polls only while no stream brings the figures", () => {
  assert.deepEqual(desiredConnections(after("stream-open")), { stream: true, poll: false });
  assert.deepEqual(desiredConnections(after("stream-open", DEAF)), { stream: true, poll: true });
  assert.deepEqual(desiredConnections(after("stream-open", LOST)), { stream: true, poll: true });
});

for (const event of ["hidden", "pause", "expired"]) {
  test(`the page asks for nothing after ${event}`, () => {
    assert.deepEqual(desiredConnections(after("stream-open", event)), { stream: false, poll: false });
  });
}

test("a browser that calls itself offline is no reason to stop asking", () => {
  assert.deepEqual(desiredConnections(after("offline")), { stream: true, poll: true });
  assert.deepEqual(desiredConnections(after("stream-open", "offline")), { stream: true, poll: false });
  assert.deepEqual(desiredConnections(after("stream-open", "offline", poll("unreachable"))), { stream: true, poll: true });
});

test("facts are never changed in place", () => {
  const facts = Object.freeze(initialFacts({ online: true, visible: true }));
  assert.notEqual(step(facts, { type: "pause" }), facts);
});
