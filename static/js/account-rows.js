/** The rows of the accounts table. */

import { knownStates } from "./account-states.js";
import { limitOf, linkOf, nameOf, shareText } from "./accounts.js";
import { writeFigure } from "./cards.js";
import { counted } from "./figures.js";
import { asLabel } from "./wire/values.js";

/** @typedef {import("./types.js").Account} Account */
/** @typedef {import("./format.js").Format} Format */

/**
 * @param {HTMLTableSectionElement} body
 * @param {Account[]} accounts in their order
 * @param {Format} format
 * @param {(at: string) => number} ageOf seconds
 * @param {object} [options]
 * @param {boolean} [options.whole] with what they received, and their states
 * @param {boolean} [options.linked] whether names lead to the accounts' pages
 */
export function drawAccounts(body, accounts, format, ageOf, { whole = false, linked = true } = {}) {
  body.replaceChildren(...accounts.map((account) => rowOf(account, format, ageOf, whole, linked)));
  // A column without any value is hidden, which leaves its width to the others.
  const limits = accounts.some((account) => account.monthlyDmLimit !== null);
  const table = body.closest("table");
  if (table) table.dataset.limits = limits ? "some" : "none";
}

/**
 * @param {Account} account
 * @param {Format} format
 * @param {(at: string) => number} ageOf
 * @param {boolean} whole
 * @param {boolean} linked
 */
function rowOf(account, format, ageOf, whole, linked) {
  const row = document.createElement("tr");
  const name = nameCell(account, linked);
  if (whole) name.append(...marksOf(account));
  row.append(
    name,
    countCell("figure month", account.monthlyDmUsed, format),
    limitCell(account, format),
    countCell("figure roomy", account.dmUsed, format),
    ...(whole ? [countCell("figure received", account.dmReceived, format)] : []),
    lastCell(account, format, ageOf),
  );
  return row;
}

/**
 * @param {Account} account
 * @param {boolean} linked
 */
function nameCell(account, linked) {
  const cell = element("th", "account");
  cell.scope = "row";
  const address = linked ? linkOf(account) : null;
  const name = address === null ? element("span", "account-name") : element("a", "account-name");
  if (address !== null) name.setAttribute("href", address);
  name.append(element("bdi", "", nameOf(account)));
  cell.append(name);
  if (account.username) {
    const id = element("span", "account-id");
    id.append(element("bdi", "", asLabel(account.instagramId) || "id unknown"));
    cell.append(id);
  }
  return cell;
}

/** @param {Account} account */
function marksOf({ states }) {
  const known = knownStates(states);
  if (!known.length) return [];
  const marks = element("span", "marks");
  for (const { label, tone } of known) {
    const mark = element("span", "mark", label);
    if (tone) mark.dataset.tone = tone;
    marks.append(mark, " ");
  }
  return [marks];
}

/**
 * @param {string} className
 * @param {number | null} n
 * @param {Format} format
 */
function countCell(className, n, format) {
  const cell = element("td", className);
  writeFigure(cell, counted(n, format));
  return cell;
}

/**
 * @param {Account} account
 * @param {Format} format
 * @param {(at: string) => number} ageOf
 */
function lastCell({ lastDMSent: at }, format, ageOf) {
  if (!at) return element("td", "wide", at === null ? "never" : "unknown");
  const cell = element("td", "wide");
  cell.append(timeAgo(at, format, ageOf));
  return cell;
}

/**
 * @param {string} at
 * @param {Format} format
 * @param {(at: string) => number} ageOf
 */
export function timeAgo(at, format, ageOf) {
  const time = element("time", "", `${format.duration(ageOf(at))} ago`);
  time.dateTime = at;
  time.title = `${format.moment(at)} (${format.utc(at)})`;
  time.dataset.ago = at;
  return time;
}

/**
 * @param {Account} account
 * @param {Format} format
 */
function limitCell(account, format) {
  const cell = element("td", "limit");
  const most = account.monthlyDmLimit;
  const limit = limitOf(account);
  if (!limit || most === null || most === undefined) {
    const dash = element("span", "nothing", "–");
    dash.setAttribute("aria-hidden", "true");
    dash.title = most === null ? "No limit" : "Unknown";
    cell.append(dash, element("span", "visually-hidden", most === null ? "no limit" : "unknown"));
    return cell;
  }
  const bar = element("span", "bar");
  bar.dataset.level = limit.level;
  bar.style.setProperty("--share", String(Math.min(1, Math.max(0, limit.share))));
  bar.setAttribute("aria-hidden", "true");
  const words = { fine: "", near: ", nearly used up", over: ", used up" }[limit.level];
  const text = element("span", "limit-text", shareText(account, format));
  const reached = account.limitReachedAt ? `, reached on ${format.moment(account.limitReachedAt)} at this rate` : "";
  text.title = `${format.count(account.monthlyDmUsed)} of ${format.count(most)}${words}${reached}`;
  text.dataset.level = limit.level;
  const hidden = element("span", "visually-hidden", ` of ${format.count(most)}${words}`);
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
  const created = document.createElement(tag);
  if (className) created.className = className;
  created.textContent = text;
  return created;
}
