/** The page of the shared links: create, list and revoke. */

import { ask } from "./ask.js";
import { wireCopy } from "./copy.js";
import { createFormat } from "./format.js";
import { enableForms, byId } from "./page.js";
import { showProblem } from "./problem.js";
import { rowButton } from "./row-button.js";
import { wireShell } from "./shell.js";
import { linksFrom, newLinkFrom } from "./wire/people.js";

/** @typedef {import("./types.js").SharedLink} SharedLink */

const URL_OF_ALL = "/api/admin/links";
const format = createFormat();

async function load() {
  const answer = await ask(URL_OF_ALL);
  if (!answer.ok) {
    showProblem(byId("problem"), answer);
    return;
  }
  const links = linksFrom(answer.data);
  byId("table").hidden = links.length === 0;
  byId("nothing").hidden = links.length > 0;
  byId("rows").replaceChildren(...links.map(rowOf));
}

/** @param {SharedLink} link */
function rowOf(link) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const label = document.createElement("bdi");
  label.textContent = link.label;
  head.append(label, small(link.parts.join(", ")), small(`created by ${link.madeBy}`));
  const end = document.createElement("td");
  const ended = Boolean(link.endsAt && Date.parse(link.endsAt) <= Date.now());
  end.textContent = link.endsAt ? `${ended ? "ended " : ""}${format.date(link.endsAt)}` : "";
  if (link.endsAt) end.title = format.utc(link.endsAt);
  const actions = document.createElement("td");
  actions.append(revokeButton(link));
  row.append(head, end, actions);
  return row;
}

/** @param {string} text */
function small(text) {
  const line = document.createElement("span");
  line.className = "origin";
  line.textContent = text;
  return line;
}

/** @param {SharedLink} link */
function revokeButton(link) {
  const button = rowButton("Revoke", `Revoke ${link.label}`, async () => {
    const url = `${URL_OF_ALL}/${encodeURIComponent(link.id)}/revoke`;
    if (await change(url, {})) say(`${link.label} was revoked; open pages close within seconds.`);
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
  const body = { label: sent.get("label"), parts: sent.getAll("parts"), days: Number(sent.get("days")) };
  const answer = await change(URL_OF_ALL, body);
  if (!answer) return;
  adding.reset();
  const { label, address } = newLinkFrom(answer.data);
  byId("handout-name").textContent = label;
  byId("handout-secret").textContent = address;
  byId("handout").hidden = false;
  byId("handout").focus();
});
wireCopy(document);
enableForms();
wireShell();
void load();
