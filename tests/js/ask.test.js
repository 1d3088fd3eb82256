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

test("a file goes as it is", async () => {
  const file = new Blob(["instagramId"]);
  let sent;
  await ask("/x", { method: "POST", body: file }, async (_url, options) => {
    sent = options;
    return new Response(null, { status: 204 });
  });
  assert.equal(sent.body, file);
  assert.equal(sent.headers["Content-Type"], "text/csv");
});

test("the server's own words are used, except where there are better ones", async () => {
  const refused = await ask("/x", {}, answering(400, { detail: "A password needs at least 10 characters." }));
  assert.equal(refused.sentence, "A password needs at least 10 characters.");
  const ended = await ask("/x", {}, answering(401, { detail: "Sign in, or send the API token." }));
  assert.deepEqual([ended.status, ended.sentence], [401, "Your session has ended."]);
});

test("the names of drivers and exceptions are not the reader's business", async () => {
  const away = await ask("/x", {}, answering(503, { detail: "MongoDB: ServerSelectionTimeoutError" }));
  assert.match(away.sentence, /^The database does not answer/);
  const broken = await ask("/x", {}, answering(500, { detail: "KeyError" }));
  assert.match(broken.sentence, /^The service reports an error/);
  for (const detail of [null, {}, 7, ""]) {
    const odd = await ask("/x", {}, answering(400, { detail }));
    assert.match(odd.sentence, /^That did not work/);
  }
});

/** Answers never, until it is aborted. */
function silent(_url, { signal }) {
  return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
}

test("every request gives up in time, with a signal of its own or without", async () => {
  for (const options of [{}, { signal: new AbortController().signal }]) {
    const answer = await ask("/x", { ...options, timeout: 20 }, silent);
    assert.match(answer.sentence, /does not answer/);
  }
});

test("a request that is not wanted any more gives up at once", async () => {
  const controller = new AbortController();
  const answer = ask("/x", { signal: controller.signal }, silent);
  controller.abort();
  assert.equal((await answer).ok, false);
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

test("a proxy in front that wants a sign-in is no outage", async () => {
  let sent;
  const answer = await ask("/x", {}, async (_url, options) => {
    sent = options;
    return { type: "opaqueredirect", status: 0, ok: false };
  });
  assert.equal(sent.redirect, "manual");
  assert.deepEqual(answer, { ok: false, status: 401, sentence: "Your session has ended." });
});
