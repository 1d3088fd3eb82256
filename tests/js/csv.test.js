import assert from "node:assert/strict";
import { test } from "node:test";

import { toCsv } from "../../static/js/csv.js";

test("it works", () => {
  assert.equal(
    toCsv([
      ["id", "sent"],
      ["1", 20],
    ]),
    "id,sent\r\n1,20\r\n",
  );
});

test("commas, quotes and line ends are quoted", () => {
  assert.equal(toCsv([["a,b", 'say "hi"', "two\nlines"]]), '"a,b","say ""hi""","two\nlines"\r\n');
});

test("nothing is an empty cell", () => {
  assert.equal(toCsv([[null, undefined, "", 0, false]]), ",,,0,false\r\n");
});

test("no cell is a formula, and numbers stay numbers", () => {
  assert.equal(toCsv([["=1+1", "+1", "-1", "@x", "\tx", -1]]), "'=1+1,'+1,'-1,'@x,'\tx,-1\r\n");
});
