/** The answer to an import: read, and in words; pure. */

import { number, shown } from "./wire.js";

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
  const all = fields(json);
  return {
    applied: all.applied === true,
    accounts: number(all.accounts),
    unchanged: number(all.unchanged),
    failed: number(all.failed),
    changes: list(all.changes).map((each) => {
      const { instagramId, field, before, after } = fields(each);
      return { instagramId: shown(instagramId) ?? "", field: FIELDS.get(String(field)) ?? "", before, after };
    }),
    errors: list(all.errors).map((each) => {
      const { line, problem } = fields(each);
      return { line: String(number(line) ?? "?"), problem: shown(problem) ?? "" };
    }),
    preview: shown(all.preview) ?? "",
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
  if (unchanged) parts.push(`${format.count(unchanged)} ${unchanged === 1 ? "is" : "are"} as in the file already`);
  if (failed) parts.push(`${format.count(failed)} ${failed === 1 ? "line is" : "lines are"} left out`);
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
  return shown(value) ?? "none";
}

/**
 * @param {number | null} accounts
 * @param {Format} format
 */
function named(accounts, format) {
  return accounts === 0 ? "No account" : `${format.count(accounts)} account${accounts === 1 ? "" : "s"}`;
}

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
function fields(value) {
  return typeof value === "object" && value !== null ? /** @type {Record<string, unknown>} */ (value) : {};
}

/**
 * @param {unknown} value
 * @returns {unknown[]}
 */
function list(value) {
  return Array.isArray(value) ? value : [];
}
