import assert from "node:assert/strict";
import { test } from "node:test";

import { idCell, toCsv } from "../../static/js/csv.js";

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

test("ids are text that spreadsheets keep, and no id is a formula of its own", () => {
  assert.equal(toCsv([[idCell("17841400000000001")]]), '"=""17841400000000001"""\r\n');
  assert.equal(toCsv([[idCell('1"&cmd()&"')]]), '"1""&cmd()&"""\r\n');
  assert.equal(toCsv([[idCell("=1+1"), idCell(null)]]), "'=1+1,\r\n");
});

test("a formula behind spaces is none either", () => {
  assert.equal(toCsv([[" =1+1", "a=1"]]), "' =1+1,a=1\r\n");
});
