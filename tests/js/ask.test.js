import assert from "node:assert/strict";
import { test } from "node:test";

import { ask } from "../../static/js/ask.js";

const answering = (status, body) => async () =>
  new Response(body === undefined ? null : JSON.stringify(body), { status });

test("it works", async () => {
  assert.deepEqual(await ask("/x", {}, answering(200, { a: 1 })), { ok: true, data: { a: 1 } });
});

test("a body goes as JSON", async () => {
  let sent;
  await ask("/x", { method: "POST", body: { a: 1 } }, async (_url, options) => {
    sent = options;
    return new Response(null, { status: 204 });
  });
  assert.equal(sent.body, '{"a":1}');
  assert.equal(sent.headers["Content-Type"], "application/json");
});

test("the server's own words are used, except where there are better ones", async () => {
  const refused = await ask("/x", {}, answering(400, { detail: "A password needs at least 10 characters." }));
  assert.equal(refused.sentence, "A password needs at least 10 characters.");
  const ended = await ask("/x", {}, answering(401, { detail: "Sign in, or send the API token." }));
  assert.deepEqual([ended.status, ended.sentence], [401, "Your session has ended."]);
});

test("no answer, and an answer that is no JSON, are told in a sentence", async () => {
  for (const fetcher of [
    () => Promise.reject(new TypeError("refused")),
    async () => new Response("<html>", { status: 502 }),
  ]) {
    const answer = await ask("/x", {}, fetcher);
    assert.equal(answer.ok, false);
    assert.match(answer.sentence, /does not answer/);
  }
});
