/** DMs without an echo: the API's answers read, and rows of tables. */

import { linkOf } from "./accounts.js";
import { writeFigure } from "./cards.js";
import { counted } from "./figures.js";
import { asLabel, asList, asNumber, asObject } from "./wire/values.js";

/** @typedef {import("./format.js").Format} Format */
/**
 * @typedef {object} LostDay
 * @property {string | null} day "2026-11-15", of UTC
 * @property {number | null} sends
 * @property {number | null} late
 * @property {number | null} lost
 * @property {number | null} share from 0 to 1
 * @property {string | null} instagramId
 * @property {string | null} username
 */

const DAY = /^\d{4}-\d\d-\d\d$/;

/**
 * @param {unknown} json
 * @returns {{days: LostDay[], accounts: LostDay[], complete: boolean}}
 */
export function lostFrom(json) {
  const { days, accounts, complete } = asObject(json);
  return { days: asList(days).map(dayFrom), accounts: asList(accounts).map(dayFrom), complete: complete !== false };
}

/**
 * @param {unknown} json
 * @returns {LostDay}
 */
function dayFrom(json) {
  const { day, sends, late, lost, lostShare, instagramId, username } = asObject(json);
  const known = typeof day === "string" && DAY.test(day) && Number.isFinite(Date.parse(day));
  return {
    day: known ? day : null,
    sends: asNumber(sends),
    late: asNumber(late),
    lost: asNumber(lost),
    share: asNumber(lostShare),
    instagramId: asLabel(instagramId),
    username: asLabel(username),
  };
}

/**
 * @param {number | null} share from 0 to 1
 * @returns {string} in per cent, with two significant digits, so that one in a thousand is not shown as zero
 */
export function formatShare(share) {
  if (share === null) return "–";
  const percent = share * 100;
  if (percent > 0 && percent < 0.01) return "<0.01%";
  return `${percent >= 10 ? Math.floor(percent) : Number(percent.toPrecision(2))}%`;
}

/**
 * @param {LostDay} day
 * @param {Format} format
 */
export function dayRow(day, format) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = nameOfDay(day, format);
  row.append(head, ...figures(day, format));
  return row;
}

/**
 * @param {LostDay} day of an account
 * @param {Format} format
 */
export function accountRow(day, format) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const name = document.createElement("bdi");
  name.textContent = day.username ? `@${day.username}` : (day.instagramId ?? "unknown");
  const address = linkOf({ instagramId: day.instagramId ?? "" });
  const link = document.createElement(address ? "a" : "span");
  if (address) link.setAttribute("href", address);
  link.append(name);
  const when = document.createElement("td");
  // On a phone it is below the name.
  const below = document.createElement("span");
  when.className = below.className = "day";
  when.textContent = below.textContent = nameOfDay(day, format);
  head.append(link, below);
  row.append(head, when, ...figures(day, format));
  return row;
}

/**
 * @param {LostDay} day
 * @param {Format} format
 */
function nameOfDay({ day }, format) {
  return day ? format.bucket("day", `${day}T00:00:00Z`) : "unknown";
}

/**
 * @param {LostDay} day
 * @param {Format} format
 */
function figures({ sends, late, lost, share }, format) {
  const shown = [...[sends, late, lost].map((n) => counted(n, format)), { text: formatShare(share) }];
  const cells = shown.map((figure) => {
    const cell = document.createElement("td");
    cell.className = "figure";
    writeFigure(cell, figure);
    return cell;
  });
  cells[0]?.classList.add("sends");
  cells[1]?.classList.add("wide");
  if (lost) cells[2]?.classList.add("bad");
  return cells;
}
