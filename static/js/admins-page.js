/** The page of the admins: add, shut out, let in again, change a password. */

import { ask } from "./ask.js";
import { createFormat } from "./format.js";
import { part } from "./page.js";
import { showProblem } from "./problem.js";

/** @typedef {{id: string, email: string, disabled: boolean, createdAt: string | null}} Admin */

const URL_OF_ALL = "/api/admin/admins";
const format = createFormat();

async function load() {
  const answer = await ask(URL_OF_ALL);
  if (!answer.ok) {
    showProblem(part("problem"), answer);
    return;
  }
  /** @type {{admins: Admin[], you: string}} */
  const { admins, you } = answer.data;
  part("rows").replaceChildren(...admins.map((admin) => rowOf(admin, admin.id === you)));
  const whose = part("whose", HTMLSelectElement);
  const chosen = whose.value || you;
  whose.replaceChildren(
    ...admins.map(({ id, email }) => new Option(id === you ? `${email} (you)` : email, id, false, id === chosen)),
  );
}

/**
 * @param {Admin} admin
 * @param {boolean} isMe
 */
function rowOf(admin, isMe) {
  const row = document.createElement("tr");
  const email = document.createElement("th");
  email.scope = "row";
  email.textContent = admin.email;
  email.dataset.disabled = String(admin.disabled);
  if (admin.disabled || isMe) {
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.textContent = isMe ? "you" : "shut out";
    email.append(" ", mark);
  }
  const since = document.createElement("td");
  since.className = "wide";
  since.textContent = admin.createdAt ? format.date(admin.createdAt) : "";
  since.title = admin.createdAt ? format.utc(admin.createdAt) : "";
  const actions = document.createElement("td");
  actions.className = "figure";
  if (!isMe) actions.append(switchFor(admin));
  row.append(email, since, actions);
  return row;
}

/** @param {Admin} admin */
function switchFor(admin) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small";
  button.textContent = admin.disabled ? "Let in" : "Shut out";
  button.setAttribute("aria-label", `${button.textContent} ${admin.email}`);
  button.addEventListener("click", async () => {
    const verb = admin.disabled ? "enable" : "disable";
    const words = admin.disabled ? "can sign in again." : "is shut out; open pages end within seconds.";
    await change(`${URL_OF_ALL}/${admin.id}/${verb}`, {}, `${admin.email} ${words}`);
  });
  return button;
}

/**
 * @param {string} url
 * @param {unknown} body
 * @param {string} done
 * @returns {Promise<boolean>}
 */
async function change(url, body, done) {
  const answer = await ask(url, { method: "POST", body });
  showProblem(part("problem"), answer.ok ? null : answer);
  if (!answer.ok) return false;
  const line = part("done");
  line.className = "success";
  line.textContent = done;
  await load();
  return true;
}

const adding = part("add", HTMLFormElement);
adding.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password } = Object.fromEntries(new FormData(adding));
  if (await change(URL_OF_ALL, { email, password }, `${email} can sign in now.`)) adding.reset();
});
const changing = part("change", HTMLFormElement);
changing.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { whose, current, new: password } = Object.fromEntries(new FormData(changing));
  const url = `${URL_OF_ALL}/${String(whose)}/password`;
  if (await change(url, { currentPassword: current, password }, "The password was changed.")) {
    part("current", HTMLInputElement).value = "";
    part("new", HTMLInputElement).value = "";
  }
});
void load();
