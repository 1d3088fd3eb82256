/** The dialog that imports names, limits and activity from a CSV file, after a preview. */

import { ask } from "./ask.js";
import { breakable } from "./breakable.js";
import { importFrom, summaryOf, valueText } from "./imported.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";

/** @typedef {import("./imported.js").Imported} Imported */
/** @typedef {import("./format.js").Format} Format */

const URL_OF_IMPORT = "/api/admin/accounts/import";

/**
 * @param {Format} format
 * @param {() => void} onApplied
 */
export function wireImport(format, onApplied) {
  // Only for operators and admins.
  if (!document.getElementById("import-dialog")) return;
  const dialog = byId("import-dialog", HTMLDialogElement);
  const input = byId("import-file", HTMLInputElement);
  const apply = byId("import-apply", HTMLButtonElement);
  let preview = "";

  function clear() {
    preview = "";
    apply.hidden = true;
    byId("import-changes").hidden = byId("import-errors").hidden = true;
    byId("import-summary").textContent = "";
    showProblem(byId("import-problem"), null);
  }

  /** @param {string} [applied] the preview to apply */
  async function send(applied) {
    const file = input.files?.[0];
    clear();
    if (!file) return;
    const query = applied ? `?apply=${encodeURIComponent(applied)}` : "";
    const answer = await ask(URL_OF_IMPORT + query, { method: "POST", body: file });
    // Another file was chosen in the meantime.
    if (file !== input.files?.[0]) return;
    showProblem(byId("import-problem"), answer.ok ? null : answer);
    if (!answer.ok) return;
    draw(importFrom(answer.data));
  }

  /** @param {Imported} found */
  function draw(found) {
    byId("import-summary").textContent = summaryOf(found, format);
    byId("import-errors").replaceChildren(...found.errors.map(({ line, problem }) => item(`Line ${line}: ${problem}`)));
    byId("import-errors").hidden = found.errors.length === 0;
    if (found.applied) {
      input.value = "";
      onApplied();
      return;
    }
    byId("import-rows").replaceChildren(...found.changes.map(rowOf));
    byId("import-changes").hidden = found.changes.length === 0;
    preview = found.preview;
    apply.hidden = found.accounts === 0;
    apply.textContent = `Change ${format.count(found.accounts)} account${found.accounts === 1 ? "" : "s"}`;
  }

  byId("import").addEventListener("click", () => {
    input.value = "";
    clear();
    dialog.showModal();
  });
  input.addEventListener("change", () => void send());
  apply.addEventListener("click", () => void send(preview));
  byId("import-close").addEventListener("click", () => dialog.close());
}

/** @param {string} text */
function item(text) {
  const created = document.createElement("li");
  created.textContent = text;
  return created;
}

/** @param {Imported["changes"][number]} change */
function rowOf({ instagramId, field, before, after }) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const id = document.createElement("bdi");
  id.textContent = instagramId;
  // On a phone the field is below the account.
  const below = document.createElement("span");
  below.className = "below";
  below.textContent = field;
  head.append(id, below);
  const cells = [field, valueText(before), valueText(after)].map((text) => {
    const cell = document.createElement("td");
    cell.append(...breakable(text));
    return cell;
  });
  if (cells[0]) cells[0].className = "field-name";
  row.append(head, ...cells);
  return row;
}
