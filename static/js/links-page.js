/** The page of the shared links: create, list and revoke. */

import { createFormat } from "./format.js";
import { hasEnded, startSecretsPage } from "./secrets.js";
import { linksFrom, newLinkFrom } from "./wire/people.js";

const format = createFormat();

/** @param {import("./types.js").SharedLink} link */
function show({ label, parts, madeBy, endsAt }) {
  const cell = document.createElement("td");
  if (endsAt) {
    cell.textContent = `${hasEnded(endsAt) ? "ended " : ""}${format.date(endsAt)}`;
    cell.title = format.utc(endsAt);
  }
  const lines = [parts.join(", "), `created by ${madeBy}`];
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
