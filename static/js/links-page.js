/** The page of the shared links: create, list and revoke. */

import { createFormat } from "./format.js";
import { hasEnded, startSecretsPage } from "./secrets.js";
import { linksFrom, newLinkFrom } from "./wire/people.js";

const format = createFormat();
/** @type {Record<string, string>} */
const PARTS = {
  messages: "messages",
  people: "numbers of accounts and users",
  events: "other events",
  quality: "data quality",
  accounts: "top 10 accounts",
};

/** @param {import("./types.js").SharedLink} link */
function show({ label, parts, madeBy, endsAt }) {
  const cell = document.createElement("td");
  if (endsAt) {
    cell.textContent = `${hasEnded(endsAt) ? "expired " : ""}${format.date(endsAt)}`;
    cell.title = format.utc(endsAt);
  }
  const lines = [parts.map((part) => PARTS[part] ?? part).join(", "), `created by ${madeBy}`];
  return { name: label, lines, cell, revoked: `${label} was revoked; open pages close within seconds.` };
}

startSecretsPage(
  "/api/admin/links",
  linksFrom,
  show,
  (sent) => ({ label: sent.get("label"), parts: sent.getAll("parts"), days: Number(sent.get("days")) }),
  (data) => {
    const { label, address } = newLinkFrom(data);
    return { name: label, secret: address };
  },
);
