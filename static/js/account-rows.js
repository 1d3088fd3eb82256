/** The rows of the accounts table. */

import { limitOf, nameOf } from "./accounts.js";
import { base } from "./base.js";

/** @typedef {import("./types.js").Account} Account */
/** @typedef {import("./format.js").Format} Format */

/**
 * @param {HTMLTableSectionElement} body
 * @param {Account[]} accounts in their order
 * @param {Format} format
 * @param {(at: string) => number} ageOf seconds
 */
export function drawAccounts(body, accounts, format, ageOf) {
  body.replaceChildren(...accounts.map((account) => rowOf(account, format, ageOf)));
}

/**
 * @param {Account} account
 * @param {Format} format
 * @param {(at: string) => number} ageOf
 */
function rowOf(account, format, ageOf) {
  const row = document.createElement("tr");
  const name = element("th", "account");
  name.scope = "row";
  const link = element("a", "account-name", nameOf(account));
  link.href = `${base}/accounts/${encodeURIComponent(account.instagramId)}`;
  name.append(link);
  if (account.username) name.append(element("span", "account-id", account.instagramId));
  const last = element("td", "wide");
  if (account.lastDMSent) {
    const time = element("time", "", `${format.duration(ageOf(account.lastDMSent))} ago`);
    time.dateTime = account.lastDMSent;
    time.title = `${format.moment(account.lastDMSent)} (${format.utc(account.lastDMSent)})`;
    time.dataset.ago = account.lastDMSent;
    last.append(time);
  } else last.textContent = "never";
  row.append(name, element("td", "figure", format.count(account.monthlyDmUsed)), limitCell(account, format));
  row.append(element("td", "figure roomy", format.count(account.dmUsed)), last);
  return row;
}

/**
 * @param {Account} account
 * @param {Format} format
 */
function limitCell(account, format) {
  const cell = element("td", "limit");
  const limit = limitOf(account);
  if (!limit) {
    cell.append(element("span", "nothing", "no limit"));
    return cell;
  }
  const bar = element("span", "bar");
  bar.dataset.level = limit.level;
  bar.style.setProperty("--share", String(Math.min(1, limit.share)));
  bar.setAttribute("aria-hidden", "true");
  const words = { fine: "", near: ", nearly used up", over: ", used up" }[limit.level];
  const text = element("span", "limit-text", format.share(limit.share));
  text.title = `${format.count(account.monthlyDmUsed)} of ${format.count(account.monthlyDmLimit ?? 0)}${words}`;
  text.dataset.level = limit.level;
  const hidden = element("span", "visually-hidden", ` of ${format.count(account.monthlyDmLimit ?? 0)}${words}`);
  cell.append(bar, text, hidden);
  return cell;
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
