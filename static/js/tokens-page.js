/** The page of the API tokens: create, list with last use, revoke. */

import { ask } from "./ask.js";
import { wireCopy } from "./copy.js";
import { createFormat } from "./format.js";
import { enableForms, byId } from "./page.js";
import { showProblem } from "./problem.js";
import { rowButton } from "./row-button.js";
import { wireShell } from "./shell.js";
import { newTokenFrom, tokensFrom } from "./wire/people.js";

/** @typedef {import("./types.js").ApiToken} ApiToken */

const URL_OF_ALL = "/api/admin/tokens";
const format = createFormat();

async function load() {
  const answer = await ask(URL_OF_ALL);
  if (!answer.ok) {
    showProblem(byId("problem"), answer);
    return;
  }
  const tokens = tokensFrom(answer.data);
  byId("table").hidden = tokens.length === 0;
  byId("nothing").hidden = tokens.length > 0;
  byId("rows").replaceChildren(...tokens.map(rowOf));
}

/** @param {ApiToken} token */
function rowOf(token) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const name = document.createElement("bdi");
  name.textContent = token.name;
  const ended = Boolean(token.endsAt && Date.parse(token.endsAt) <= Date.now());
  const end = token.endsAt ? `${ended ? "ended" : "ends"} ${format.date(token.endsAt)}` : "";
  head.append(name, small(token.scopes.join(", ")), small([end, `created by ${token.madeBy}`].filter(Boolean).join(", ")));
  const used = document.createElement("td");
  used.textContent = token.usedAt ? format.moment(token.usedAt) : "never";
  if (token.usedAt) used.title = format.utc(token.usedAt);
  if (token.usedFrom) used.append(small(token.usedFrom));
  const actions = document.createElement("td");
  actions.append(revokeButton(token));
  row.append(head, used, actions);
  return row;
}

/** @param {string} text */
function small(text) {
  const line = document.createElement("span");
  line.className = "origin";
  line.textContent = text;
  return line;
}

/** @param {ApiToken} token */
function revokeButton(token) {
  const button = rowButton("Revoke", `Revoke ${token.name}`, async () => {
    const url = `${URL_OF_ALL}/${encodeURIComponent(token.id)}/revoke`;
    if (await change(url, {})) say(`${token.name} was revoked; its open streams close within seconds.`);
  });
  return button;
}

/** @param {string} text empty to say nothing */
function say(text) {
  byId("done").className = text ? "success" : "visually-hidden";
  byId("done").textContent = text;
}

/**
 * @param {string} url
 * @param {unknown} body
 * @returns {Promise<{data: unknown} | null>} null if it did not work, which is shown
 */
async function change(url, body) {
  say("");
  byId("handout").hidden = true;
  const answer = await ask(url, { method: "POST", body });
  showProblem(byId("problem"), answer.ok ? null : answer);
  if (!answer.ok) return null;
  await load();
  return answer;
}

const adding = byId("add", HTMLFormElement);
adding.addEventListener("submit", async (event) => {
  event.preventDefault();
  const sent = new FormData(adding);
  const body = { name: sent.get("name"), scopes: sent.getAll("scopes"), days: Number(sent.get("days")) };
  const answer = await change(URL_OF_ALL, body);
  if (!answer) return;
  adding.reset();
  const { name, secret } = newTokenFrom(answer.data);
  byId("handout-name").textContent = name;
  byId("handout-secret").textContent = secret;
  byId("handout").hidden = false;
  byId("handout").focus();
});
wireCopy(document);
enableForms();
wireShell();
void load();
