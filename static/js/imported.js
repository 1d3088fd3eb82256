/** The answer to an import: read, and in words; pure. */

import { asLabel, asList, asNumber, asObject } from "./wire/values.js";

/** @typedef {import("./format.js").Format} Format */
/**
 * @typedef {object} Imported `changes` and `errors` are the first ones
 * @property {boolean} applied
 * @property {number | null} accounts that change
 * @property {number | null} unchanged
 * @property {number | null} failed
 * @property {{instagramId: string, field: string, before: unknown, after: unknown}[]} changes
 * @property {{line: string, problem: string}[]} errors
 * @property {string} preview
 */

const FIELDS = new Map([
  ["username", "Name"],
  ["monthlyDmLimit", "Monthly limit"],
  ["isActive", "Active"],
]);

/**
 * @param {unknown} json
 * @returns {Imported}
 */
export function importFrom(json) {
  const all = asObject(json);
  return {
    applied: all.applied === true,
    accounts: asNumber(all.accounts),
    unchanged: asNumber(all.unchanged),
    failed: asNumber(all.failed),
    changes: asList(all.changes).map((each) => {
      const { instagramId, field, before, after } = asObject(each);
      return { instagramId: asLabel(instagramId) ?? "", field: FIELDS.get(String(field)) ?? "", before, after };
    }),
    errors: asList(all.errors).map((each) => {
      const { line, problem } = asObject(each);
      return { line: String(asNumber(line) ?? "?"), problem: asLabel(problem) ?? "" };
    }),
    preview: asLabel(all.preview) ?? "",
  };
}

/**
 * @param {Imported} found
 * @param {Format} format
 * @returns {string}
 */
export function summaryOf({ applied, accounts, unchanged, failed, changes }, format) {
  const one = accounts === 0 || accounts === 1;
  const verb = applied ? (one ? "was changed" : "were changed") : one ? "changes" : "change";
  const parts = [`${named(accounts, format)} ${verb}`];
  if (unchanged) parts.push(`${format.count(unchanged)} ${unchanged === 1 ? "is" : "are"} already as in the file`);
  if (failed) parts.push(`${format.count(failed)} ${failed === 1 ? "line is" : "lines are"} skipped`);
  const cut = !applied && new Set(changes.map((each) => each.instagramId)).size < (accounts ?? 0);
  return `${parts.join(", ")}.${cut ? " The first changes are:" : ""}`;
}

/**
 * @param {unknown} value of an account's field
 * @returns {string}
 */
export function valueText(value) {
  if (value === true) return "yes";
  if (value === false) return "no";
  if (typeof value === "number") return String(value);
  return asLabel(value) ?? "none";
}

/**
 * @param {number | null} accounts
 * @param {Format} format
 */
function named(accounts, format) {
  return accounts === 0 ? "No account" : `${format.count(accounts)} account${accounts === 1 ? "" : "s"}`;
}
