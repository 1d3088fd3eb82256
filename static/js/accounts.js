/** The accounts' order and limits; pure. */

/** @typedef {import("./types.js").Account} Account */
/** @typedef {import("./types.js").Sort} Sort */

/** @type {Record<Sort, (a: Account, b: Account) => number>} */
const ORDERS = {
  month: (a, b) => b.monthlyDmUsed - a.monthlyDmUsed,
  total: (a, b) => b.dmUsed - a.dmUsed,
  recent: (a, b) => Date.parse(b.lastDMSent ?? "1970-01-01") - Date.parse(a.lastDMSent ?? "1970-01-01"),
  name: (a, b) => nameOf(a).localeCompare(nameOf(b)),
};

/**
 * @param {Account} account
 * @returns {string} what people call it
 */
export function nameOf(account) {
  return account.username ? `@${account.username}` : account.instagramId;
}

/**
 * @param {Account[]} accounts
 * @param {Sort} sort
 * @returns {Account[]} a sorted copy
 */
export function sortAccounts(accounts, sort) {
  return accounts.toSorted((a, b) => ORDERS[sort](a, b) || a.instagramId.localeCompare(b.instagramId));
}

/**
 * @param {Pick<Account, "monthlyDmUsed" | "monthlyDmLimit">} account
 * @returns {{share: number, level: "fine" | "near" | "over"} | null} null without a limit
 */
export function limitOf({ monthlyDmUsed, monthlyDmLimit }) {
  if (!monthlyDmLimit || monthlyDmLimit <= 0) return null;
  const share = monthlyDmUsed / monthlyDmLimit;
  return { share, level: share >= 1 ? "over" : share >= 0.8 ? "near" : "fine" };
}
