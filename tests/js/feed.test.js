import assert from "node:assert/strict";
import { test } from "node:test";

import { modeOf } from "../../static/js/connection.js";
import { createFeed } from "../../static/js/feed.js";
import { createState } from "../../static/js/state.js";
import { manualTimers, settle, snapshotOf } from "./helpers.js";

const SETTINGS = {
  debounce: 5,
  poll: 30,
  refresh: 60,
  heartbeat: 15,
  statsUrl: "/stats",
  streamUrl: "/stream",
  refreshUrl: "/refresh",
};
const NOW = "2026-11-15T12:35:00.000Z";
const BEAT = { at: NOW, live: true, version: "1-1" };

class FakeSource extends EventTarget {
  CONNECTING = 0;
  OPEN = 1;
  CLOSED = 2;

  constructor(url) {
    super();
    this.url = url;
    this.readyState = this.CONNECTING;
    this.closed = false;
  }

  close() {
    this.closed = true;
  }

  opens() {
    this.readyState = this.OPEN;
    this.dispatchEvent(new Event("open"));
  }

  says(type, data) {
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data) }));
  }

  breaks(refused = false) {
    this.readyState = refused ? this.CLOSED : this.CONNECTING;
    this.dispatchEvent(new Event("error"));
  }
}

function setUp({ visible = true, online = true } = {}) {
  const timers = manualTimers();
  const sources = [];
  const asked = [];
  const state = createState();
  const page = {
    timers,
    sources,
    asked,
    state,
    mode: "",
    serverTimes: [],
    answer: () => new Response(null, { status: 304 }),
  };
  page.feed = createFeed({
    settings: SETTINGS,
    page: { online, visible },
    version: () => state.version,
    connect(url) {
      sources.push(new FakeSource(url));
      return sources.at(-1);
    },
    ask(url, options) {
      asked.push(options.headers["If-None-Match"] ?? "");
      return Promise.resolve().then(() => page.answer(url));
    },
    timers,
    random: () => 0.5,
    onSnapshot(json) {
      if (!json?.version) return false;
      state.offer(json);
      return true;
    },
    onServerTime: (at) => page.serverTimes.push(at),
    onFacts(facts) {
      page.mode = modeOf(facts, false);
    },
  });
  page.feed.start();
  return page;
}

function snapshotAnswer(version) {
  return new Response(JSON.stringify(snapshotOf(version)), { headers: { ETag: `W/"${version}"` } });
}

async function live() {
  const page = setUp();
  await page.timers.advance(0);
  page.sources[0].opens();
  page.sources[0].says("stats", snapshotOf("1-1"));
  return page;
}

test("it works: the stream brings the figures and nothing is polled", async () => {
  const page = await live();
  for (let i = 0; i < 20; i += 1) {
    page.sources[0].says("heartbeat", { at: NOW, live: true, version: "1-1" });
    await page.timers.advance(15);
  }
  assert.equal(page.mode, "live");
  assert.equal(page.state.version, "1-1");
  assert.equal(page.sources.length, 1);
  assert.deepEqual(page.asked, []);
  assert.equal(page.serverTimes.at(-1), NOW);
});

test("a broken stream is opened again and told what the page has", async () => {
  const page = await live();
  page.sources[0].breaks();
  assert.equal(page.mode, "reconnecting");
  assert.ok(page.sources[0].closed);
  await page.timers.advance(1);
  assert.equal(page.sources[1].url, "/stream?last_event_id=1-1");
  page.sources[1].opens();
  assert.equal(page.mode, "reconnecting");
  page.sources[1].says("heartbeat", BEAT);
  assert.equal(page.mode, "live");
});

test("while the stream is down the page polls, with the ETag it has", async () => {
  const page = await live();
  page.answer = () => snapshotAnswer("1-2");
  page.sources[0].breaks(true);
  await page.timers.advance(0);
  assert.equal(page.mode, "polling");
  assert.equal(page.state.version, "1-2");
  page.answer = () => new Response(null, { status: 304 });
  await page.timers.advance(60);
  assert.equal(page.asked[1], 'W/"1-2"');
  assert.equal(page.mode, "polling");
});

test("a page whose first stream is refused polls at once", async () => {
  const page = setUp();
  await page.timers.advance(0);
  page.sources[0].breaks(true);
  await page.timers.advance(0);
  assert.equal(page.mode, "polling");
  await page.timers.advance(29);
  assert.equal(page.asked.length, 1);
});

test("it polls at its interval and no oftener", async () => {
  const page = await live();
  page.sources[0].breaks(true);
  for (let i = 0; i < 30; i += 1) {
    await page.timers.advance(10);
    const last = page.sources.at(-1);
    if (!last.closed) last.breaks(true);
  }
  assert.equal(page.asked.length, 11);
});

test("polling ends when the stream is back", async () => {
  const page = await live();
  page.sources[0].breaks();
  await page.timers.advance(10);
  page.sources.at(-1).opens();
  const before = page.asked.length;
  page.sources.at(-1).says("heartbeat", { at: NOW, live: true, version: "1-1" });
  await page.timers.advance(35);
  assert.equal(page.asked.length, before);
  assert.equal(page.mode, "live");
});

test("a silent stream is given up after two and a half heartbeats", async () => {
  const page = await live();
  await page.timers.advance(37);
  assert.equal(page.mode, "live");
  await page.timers.advance(0.6);
  assert.equal(page.mode, "reconnecting");
  assert.ok(page.sources[0].closed);
});

test("a server that lost Redis is polled until it has it again", async () => {
  const page = await live();
  page.sources[0].says("heartbeat", { at: NOW, live: false, version: "1-1" });
  await page.timers.advance(2);
  assert.equal(page.mode, "polling");
  assert.equal(page.asked.length, 1);
  page.sources[0].says("heartbeat", { at: NOW, live: true, version: "1-1" });
  assert.equal(page.mode, "live");
});

test("a heartbeat that names a newer version is followed by a question", async () => {
  const page = await live();
  page.answer = () => snapshotAnswer("1-3");
  page.sources[0].says("heartbeat", { at: NOW, live: true, version: "1-3" });
  await settle();
  await settle();
  assert.equal(page.state.version, "1-3");
  assert.equal(page.mode, "live");
});

test("a session that ended ends all asking", async () => {
  const page = await live();
  page.answer = () => new Response(null, { status: 401 });
  page.sources[0].breaks(true);
  await page.timers.advance(0);
  assert.equal(page.mode, "expired");
  assert.equal(page.timers.count, 0);
});

test("a service that is gone is offline, and found again", async () => {
  const page = await live();
  page.answer = () => Promise.reject(new TypeError("refused"));
  page.sources[0].breaks();
  await page.timers.advance(2);
  assert.equal(page.mode, "offline");
  page.answer = () => snapshotAnswer("2-1");
  for (let i = 0; i < 40 && page.mode === "offline"; i += 1) {
    if (!page.sources.at(-1).closed) page.sources.at(-1).breaks();
    await page.timers.advance(1);
  }
  assert.equal(page.mode, "polling");
  await page.timers.advance(1);
  page.sources.at(-1).opens();
  page.sources.at(-1).says("heartbeat", BEAT);
  assert.equal(page.mode, "live");
});

test("a stream that opens and says nothing is no stream: the page polls, and says so", async () => {
  const page = setUp();
  page.answer = () => snapshotAnswer("1-2");
  let open = 0;
  for (let second = 0; second < 150; second += 1) {
    await page.timers.advance(1);
    for (const source of page.sources.slice(open)) source.opens();
    open = page.sources.length;
    if (second > 3) assert.equal(page.mode, "polling");
  }
  assert.equal(page.state.version, "1-2");
  assert.ok(page.asked.length >= 5, String(page.asked.length));
  // Given up in bounded time, and tried again ever more rarely.
  assert.ok(page.sources.length >= 3 && page.sources.length <= 5, String(page.sources.length));
  page.sources.at(-1).says("heartbeat", { ...BEAT, version: "1-2" });
  assert.equal(page.mode, "live");
});

test("an event that is no JSON, or no snapshot, is asked for in another way", async () => {
  for (const spoil of [
    (source) => source.dispatchEvent(new MessageEvent("stats", { data: '{"username":"a\nb"}' })),
    (source) => source.says("stats", [1]),
  ]) {
    const page = await live();
    page.answer = () => snapshotAnswer("1-4");
    spoil(page.sources[0]);
    await settle();
    await settle();
    assert.equal(page.state.version, "1-4");
    assert.equal(page.mode, "live");
  }
});

test("an answer that is no snapshot is an error of the service", async () => {
  const page = await live();
  page.answer = () => new Response("[]");
  page.sources[0].breaks(true);
  await page.timers.advance(0);
  assert.equal(page.mode, "reconnecting");
  assert.equal(page.state.version, "1-1");
});

test("a browser that calls itself offline streams all the same", async () => {
  const page = setUp({ online: false });
  await page.timers.advance(0);
  page.sources[0].opens();
  page.sources[0].says("stats", snapshotOf("1-1"));
  assert.equal(page.mode, "live");
});

test("a device that goes offline is asked about at once, and connects anew when it is back", async () => {
  const page = await live();
  page.answer = () => Promise.reject(new TypeError("refused"));
  page.feed.tell({ type: "offline" });
  await settle();
  assert.equal(page.mode, "offline");
  page.answer = () => snapshotAnswer("1-2");
  page.feed.tell({ type: "online" });
  await page.timers.advance(2);
  assert.ok(page.sources[0].closed);
  page.sources.at(-1).says("heartbeat", BEAT);
  assert.equal(page.mode, "live");
  const before = page.asked.length;
  await page.timers.advance(30);
  assert.equal(page.asked.length, before);
});

test("a hidden page closes its stream and comes back with one", async () => {
  const page = await live();
  page.feed.tell({ type: "hidden" });
  assert.ok(page.sources[0].closed);
  assert.equal(page.timers.count, 0);
  page.feed.tell({ type: "visible" });
  await page.timers.advance(0.5);
  assert.equal(page.sources.length, 2);
  assert.equal(page.sources[1].url, "/stream?last_event_id=1-1");
});

test("a page opened in the background waits until it is seen", async () => {
  const page = setUp({ visible: false });
  await page.timers.advance(60);
  assert.equal(page.sources.length, 0);
  page.feed.tell({ type: "visible" });
  await page.timers.advance(0);
  assert.equal(page.sources.length, 1);
});

test("an answer that comes after the page was paused is not drawn", async () => {
  const page = await live();
  page.sources[0].breaks(true);
  let release;
  page.answer = () => new Promise((resolve) => (release = resolve));
  await page.timers.advance(0);
  page.feed.tell({ type: "pause" });
  release(snapshotAnswer("1-9"));
  await settle();
  assert.equal(page.state.version, "1-1");
  assert.equal(page.mode, "paused");
});

test("a proxy in front that wants a sign-in is no outage, and is left once it is done", async () => {
  const page = await live();
  page.answer = () => ({ type: "opaqueredirect", status: 0 });
  page.sources[0].breaks(true);
  await page.timers.advance(0);
  assert.equal(page.mode, "expired");
  page.answer = () => snapshotAnswer("1-2");
  await page.timers.advance(31);
  assert.equal(page.mode, "polling");
});
