import assert from "node:assert/strict";
import { test } from "node:test";

import { hear, now } from "../../static/js/clock.js";

const saying = (date) => new Response(null, { headers: date === null ? {} : { Date: date } });
const difference = () => Math.round((now() - Date.now()) / 1000);

for (const [words, seconds, expected] of [
  ["an hour behind", 3600, 3600],
  ["a day ahead", -86_400, -86_400],
  ["right, to a few seconds", 3, 0],
]) {
  test(`the reader's clock is ${words}`, () => {
    const server = Math.floor((Date.now() + seconds * 1000) / 1000) * 1000;
    hear(saying(new Date(server).toUTCString()));
    assert.ok(Math.abs(difference() - expected) <= 1);
  });
}

test("an answer without a date, or with another text, changes nothing", () => {
  hear(saying(new Date(Date.now() + 3_600_000).toUTCString()));
  for (const odd of [null, "", "yesterday"]) hear(saying(odd));
  assert.ok(Math.abs(difference() - 3600) <= 1);
});
