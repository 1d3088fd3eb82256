import assert from "node:assert/strict";
import { test } from "node:test";

import { annotationsFrom, localInput, annotationsByPoint, authorsText } from "../../static/js/annotations.js";

const at = (hour) => `2026-11-15T${hour}:00.000Z`;
const note = (hour, text) => ({ id: text, kind: "note", at: at(hour), text, author: "", changedBy: "" });
const POINTS = ["10:00", "11:00", "12:00"].map((hour) => ({ at: at(hour), sent: 1, received: 1 }));

test("it works", () => {
  const { annotations, complete } = annotationsFrom({
    annotations: [{ id: "1", kind: "note", at: at("10:30"), text: "Launch", author: "ada@example.com" }],
    complete: true,
  });
  assert.deepEqual(annotations, [
    { id: "1", kind: "note", at: at("10:30"), text: "Launch", author: "ada@example.com", changedBy: "" },
  ]);
  assert.equal(complete, true);
});

test("what cannot be read is left out", () => {
  for (const json of [null, [], {}, { annotations: 7 }, { annotations: [null, 7, { id: "1", kind: "x", at: at("10:30"), text: "" }] }]) {
    assert.deepEqual(annotationsFrom(json).annotations, []);
  }
});

test("who changed a note is named beside its author", () => {
  const [ada, bob] = ["ada@example.com", "bob@example.com"];
  const words = (author, changedBy) => authorsText({ ...note("10:00", "x"), author, changedBy });
  assert.equal(words(ada, ""), `by ${ada}`);
  assert.equal(words(ada, ada), `by ${ada}`);
  assert.equal(words(ada, bob), `by ${ada}, changed by ${bob}`);
  assert.equal(words("", bob), `changed by ${bob}`);
  assert.equal(words("", ""), "");
});

test("each is in the point in which it happened", () => {
  const notes = [note("09:59", "early"), note("10:00", "first"), note("11:59", "second"), note("11:59", "too"), note("13:00", "late")];
  assert.deepEqual([...annotationsByPoint(POINTS, notes, at("13:00"))], [[0, ["first"]], [1, ["second", "too"]]]);
  assert.deepEqual(annotationsByPoint(POINTS, notes, null).get(2), ["late"]);
  assert.deepEqual([...annotationsByPoint([], notes, null)], []);
});

test("a form shows a time as the reader's clock does", () => {
  const shown = localInput("2026-03-05T06:07:08.000Z");
  assert.match(shown, /^2026-03-0\dT\d\d:\d7$/);
  assert.equal(new Date(shown).toISOString(), "2026-03-05T06:07:00.000Z");
});
