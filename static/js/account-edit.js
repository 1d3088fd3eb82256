/** The form that changes an account's name, limit and activity. */

import { ask } from "./ask.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";
import { accountFrom } from "./wire/accounts.js";

/** @typedef {import("./types.js").Account} Account */

/**
 * @param {string} url the account's
 * @param {(account: Account) => void} onSaved
 * @returns {(account: Account) => void} shows an account, unless the reader is changing it
 */
export function createEdit(url, onSaved) {
  // Only for operators and admins.
  if (!document.getElementById("edit")) return () => {};
  const form = byId("edit-form", HTMLFormElement);
  const name = byId("edit-name", HTMLInputElement);
  const limit = byId("edit-limit", HTMLInputElement);
  const active = byId("edit-active", HTMLInputElement);
  let known = { name: "", limit: "", active: true };

  function changes() {
    /** @type {{username?: string | null, monthlyDmLimit?: number | null, isActive?: boolean}} */
    const found = {};
    if (name.value.trim() !== known.name) found.username = name.value.trim() || null;
    if (limit.value !== known.limit) found.monthlyDmLimit = limit.value === "" ? null : Number(limit.value);
    if (active.checked !== known.active) found.isActive = active.checked;
    return found;
  }

  /** @param {Account} account */
  function fill(account) {
    known = { name: account.username ?? "", limit: String(account.monthlyDmLimit ?? ""), active: account.isActive !== false };
    name.value = known.name;
    limit.value = known.limit;
    active.checked = known.active;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = changes();
    byId("edit-done").textContent = "";
    const none = Object.keys(body).length === 0;
    const answer = none ? null : await ask(url, { method: "PATCH", body });
    showProblem(byId("edit-problem"), answer?.ok === false ? answer : null);
    if (answer?.ok === false) return;
    byId("edit-done").textContent = none ? "Nothing was changed." : "Saved.";
    if (!answer) return;
    const account = accountFrom(answer.data);
    fill(account);
    onSaved(account);
  });

  return (account) => {
    const begun = !byId("edit").hidden && Object.keys(changes()).length > 0;
    byId("edit").hidden = false;
    if (!begun) fill(account);
  };
}
