/** The parts that the pages of API tokens and shared links share: the list, the form, and a secret that is shown once. */

import { ask } from "./ask.js";
import { breakable } from "./breakable.js";
import { now } from "./clock.js";
import { wireCopy } from "./copy.js";
import { enableForms, byId } from "./page.js";
import { showProblem } from "./problem.js";
import { rowButton } from "./row-button.js";
import { wireShell } from "./shell.js";

/**
 * @typedef {{name: string, lines: string[], cell: HTMLElement, revoked: string}} Shown
 *   a row: the name, the lines below it, the cell beside it, and the message after a revocation
 */

/**
 * @template {{id: string}} Item
 * @param {string} url of the list, to which new ones are posted
 * @param {(data: unknown) => Item[]} itemsFrom
 * @param {(item: Item) => Shown} show
 * @param {(sent: FormData) => unknown} bodyOf
 * @param {(data: unknown) => {name: string, secret: string}} newFrom
 */
export function startSecretsPage(url, itemsFrom, show, bodyOf, newFrom) {
  async function load() {
    const answer = await ask(url);
    if (!answer.ok) {
      showProblem(byId("problem"), answer);
      return;
    }
    const items = itemsFrom(answer.data);
    byId("table").hidden = items.length === 0;
    byId("nothing").hidden = items.length > 0;
    byId("rows").replaceChildren(...items.map(rowOf));
  }

  /** @param {Item} item */
  function rowOf(item) {
    const { name, lines, cell, revoked } = show(item);
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const title = document.createElement("bdi");
    title.textContent = name;
    head.append(title, ...lines.map(smallLine));
    const actions = document.createElement("td");
    actions.append(rowButton("Revoke", `Revoke ${name}`, async () => {
      if (await change(`${url}/${encodeURIComponent(item.id)}/revoke`, {})) say(revoked);
    }));
    row.append(head, cell, actions);
    return row;
  }

  /**
   * @param {string} to
   * @param {unknown} body
   * @returns {Promise<{data: unknown} | null>} null after an error, which is shown
   */
  async function change(to, body) {
    say("");
    byId("handout").hidden = true;
    const answer = await ask(to, { method: "POST", body });
    showProblem(byId("problem"), answer.ok ? null : answer);
    if (!answer.ok) return null;
    await load();
    return answer;
  }

  const adding = byId("add", HTMLFormElement);
  adding.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await change(url, bodyOf(new FormData(adding)));
    if (!answer) return;
    adding.reset();
    const { name, secret } = newFrom(answer.data);
    byId("handout-name").textContent = name;
    byId("handout-secret").textContent = secret;
    byId("handout").hidden = false;
    byId("handout").focus();
  });
  wireCopy(document);
  enableForms();
  wireShell();
  void load();
}

/** @param {string} text empty to say nothing */
function say(text) {
  byId("done").className = text ? "success" : "visually-hidden";
  byId("done").textContent = text;
}

/** @param {string} text */
export function smallLine(text) {
  const line = document.createElement("span");
  line.className = "origin";
  line.append(...breakable(text));
  return line;
}

/** @param {string | null} endsAt */
export function hasEnded(endsAt) {
  return endsAt !== null && Date.parse(endsAt) <= now();
}
