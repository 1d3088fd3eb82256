import assert from "node:assert/strict";
import { test } from "node:test";

import { createPoll } from "../../static/js/poll.js";
import { watchBuild } from "../../static/js/wall.js";
import { manualTimers } from "./helpers.js";

const QUARTER = 15 * 60;

function setUp(answers) {
  const timers = manualTimers();
  const page = { timers, reloads: 0, asked: 0, over: false };
  watchBuild({
    build: "one",
    isOver: () => page.over,
    async ask() {
      const next = answers[Math.min(page.asked, answers.length - 1)];
      page.asked += 1;
      if (!next) throw new TypeError("Failed to fetch");
      return { ok: true, redirected: false, text: async () => `<body data-build="${next.build}">`, ...next };
    },
    reload() {
      page.reloads += 1;
    },
    timers,
  });
  return page;
}

test("a page on a wall is loaded anew with another version, and no earlier", async () => {
  const page = setUp([{ build: "one" }, null, { build: "two" }]);
  await page.timers.advance(2 * QUARTER + 1);
  assert.deepEqual([page.asked, page.reloads], [2, 0]);
  await page.timers.advance(QUARTER);
  assert.equal(page.reloads, 1);
});

test("neither an error page nor the sign-in is another version", async () => {
  const page = setUp([
    { ok: false, build: "two" },
    { redirected: true, build: "two" },
    { text: async () => "<h1>Bad gateway</h1>" },
  ]);
  await page.timers.advance(10 * QUARTER);
  assert.deepEqual([page.asked, page.reloads], [10, 0]);
});

test("a page whose figures had ended comes back with the service", async () => {
  const page = setUp([{ build: "one" }]);
  page.over = true;
  await page.timers.advance(QUARTER);
  assert.equal(page.reloads, 1);
});

test("only the service itself can say that a link has ended", async () => {
  const answer = (status, type) => async () => new Response("{}", { status, headers: { "Content-Type": type } });
  assert.equal((await createPoll("/stats", answer(404, "application/problem+json"))()).kind, "expired");
  assert.equal((await createPoll("/stats", answer(404, "text/html"))()).kind, "error");
  assert.equal((await createPoll("/stats", answer(503, "application/problem+json"))()).kind, "error");
});
