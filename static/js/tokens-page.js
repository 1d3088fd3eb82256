/** The page of the API tokens: create, list with last use, revoke. */

import { createFormat } from "./format.js";
import { hasEnded, smallLine, startSecretsPage } from "./secrets.js";
import { newTokenFrom, tokensFrom } from "./wire/people.js";

const format = createFormat();

/** @param {import("./types.js").ApiToken} token */
function show({ name, scopes, endsAt, madeBy, usedAt, usedFrom }) {
  const cell = document.createElement("td");
  cell.textContent = usedAt ? format.moment(usedAt) : "never";
  if (usedAt) cell.title = format.utc(usedAt);
  if (usedFrom) cell.append(smallLine(usedFrom));
  const end = endsAt ? `${hasEnded(endsAt) ? "expired" : "expires"} ${format.date(endsAt)}, ` : "";
  const lines = [scopes.join(", "), `${end}created by ${madeBy}`];
  return { name, lines, cell, revoked: `${name} was revoked; its open streams close within seconds.` };
}

startSecretsPage(
  "/api/admin/tokens",
  tokensFrom,
  show,
  (sent) => ({ name: sent.get("name"), scopes: sent.getAll("scopes"), days: Number(sent.get("days")) }),
  newTokenFrom,
);
