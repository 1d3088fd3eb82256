/** Names, links and limits of accounts; pure. */

import { base } from "./base.js";
import { asLabel } from "./wire/values.js";

/** @typedef {import("./types.js").Account} Account */

/**
 * @param {Pick<Account, "username" | "instagramId">} account
 * @returns {string} its name, or its id
 */
export function nameOf({ username, instagramId }) {
  return username ? `@${username}` : asLabel(instagramId) || "unknown";
}

/**
 * @param {Pick<Account, "instagramId">} account
 * @returns {string | null} the address of its page; null for an id that cannot be part of a path
 */
export function linkOf({ instagramId }) {
  if (!instagramId || instagramId === "." || instagramId === "..") return null;
  if (/[/\\\0]/.test(instagramId)) return null;
  try {
    return `${base}/accounts/${encodeURIComponent(instagramId)}`;
  } catch {
    // Half of a surrogate pair.
    return null;
  }
}

/**
 * @param {Pick<Account, "monthlyDmUsed" | "monthlyDmLimit">} account
 * @returns {{share: number, level: "fine" | "near" | "over"} | null} null without a limit, or where it or
 * the use is unknown; a limit of 0 is one, and used up from the start
 */
export function limitOf({ monthlyDmUsed: used, monthlyDmLimit: most }) {
  if (most === null || most === undefined || used === null || most < 0) return null;
  const share = most === 0 ? 1 + used : used / most;
  return { share, level: share >= 1 ? "over" : share >= 0.8 ? "near" : "fine" };
}

/**
 * @param {Pick<Account, "monthlyDmUsed" | "monthlyDmLimit">} account
 * @param {import("./format.js").Format} format
 * @returns {string} how much of its limit is used, for a place that is narrow
 */
export function shareText(account, format) {
  const limit = limitOf(account);
  if (!limit) return format.count(null);
  return account.monthlyDmLimit === 0 ? "limit 0" : format.share(limit.share);
}
