/** The page of the people: add, change role or password, disable, enable. */

import { ask } from "./ask.js";
import { base } from "./base.js";
import { breakable } from "./breakable.js";
import { wireCopy } from "./copy.js";
import { createFormat } from "./format.js";
import { enableForms, byId } from "./page.js";
import { showProblem } from "./problem.js";
import { rowButton } from "./row-button.js";
import { wireShell } from "./shell.js";
import { adminsFrom, handoutFrom } from "./wire/people.js";

/** @typedef {import("./types.js").Admin} Admin */

const URL_OF_ALL = "/api/admin/admins";
const ROLES = ["viewer", "operator", "admin"];
const format = createFormat();

async function load() {
  const answer = await ask(URL_OF_ALL);
  if (!answer.ok) {
    showProblem(byId("problem"), answer);
    return;
  }
  const { admins, you } = adminsFrom(answer.data);
  byId("rows").replaceChildren(...admins.map((admin) => rowOf(admin, admin.id === you)));
  const whose = byId("whose", HTMLSelectElement);
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
  const address = document.createElement("bdi");
  address.append(...breakable(admin.email));
  email.className = "email";
  email.append(address);
  email.dataset.disabled = String(admin.disabled);
  if (admin.disabled || admin.invited || isMe) {
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.textContent = isMe ? "you" : admin.disabled ? "disabled" : "invited";
    email.append(" ", mark);
  }
  if (admin.refused || admin.refusal) email.append(...refusalOf(admin));
  const since = document.createElement("td");
  since.className = "wide";
  since.textContent = admin.createdAt ? format.date(admin.createdAt) : "";
  since.title = admin.createdAt ? format.utc(admin.createdAt) : "";
  const actions = document.createElement("td");
  actions.className = "actions";
  actions.append(roleOf(admin, isMe), signOutFor(admin, isMe));
  if (!isMe && admin.secondFactor) actions.append(factorFor(admin));
  if (!isMe) actions.append(switchFor(admin));
  row.role = "row";
  email.role = "rowheader";
  since.role = actions.role = "cell";
  row.append(email, since, actions);
  return row;
}

const REASONS = new Map([
  ["no-role", "The provider assigns no role for dmstats"],
  ["unusable-email", "The provider sent no usable email address"],
  ["unverified-email", "The provider has not verified the email address"],
  ["foreign-domain", "People with this email domain cannot sign in"],
]);

/**
 * Why the last sign-in through the provider was refused.
 * @param {Admin} admin
 */
function refusalOf({ refused, refusal }) {
  const mark = document.createElement("span"), why = document.createElement("span");
  mark.className = "mark";
  mark.dataset.tone = "bad";
  mark.textContent = "refused";
  why.className = "reason";
  const reason = REASONS.get(refusal?.reason ?? "no-role") ?? "The provider's answer was refused";
  const since = refusal?.at ? ` (${format.date(refusal.at)})` : "";
  const way = refused
    ? "This person cannot sign in until a sign-in there succeeds, or you disable and enable the account."
    : "Other ways to sign in still work.";
  why.textContent = `${reason}${since}. ${way}`;
  return [" ", mark, why];
}

/**
 * @param {Admin} admin
 * @param {boolean} isMe
 */
function signOutFor(admin, isMe) {
  const button = rowButton("Sign out everywhere", `Sign out everywhere: ${admin.email}`, async () => {
    const url = `${URL_OF_ALL}/${encodeURIComponent(admin.id)}/sign-out`;
    if (await change(url, {}, `${admin.email} is signed out everywhere.`, !isMe) && isMe) location.reload();
  });
  button.disabled = admin.disabled;
  return button;
}

/**
 * @param {Admin} admin
 * @param {boolean} isMe
 */
function roleOf(admin, isMe) {
  const select = document.createElement("select");
  select.className = "field small";
  select.setAttribute("aria-label", `Role of ${admin.email}`);
  select.append(...ROLES.map((role) => new Option(role, role, false, role === admin.role)));
  select.addEventListener("change", async () => {
    const url = `${URL_OF_ALL}/${encodeURIComponent(admin.id)}/role`;
    const done = await change(url, { role: select.value }, `${admin.email} is now ${select.value}.`, !isMe);
    if (done && isMe) location.assign(`${base}/`);
    if (!done) select.value = admin.role ?? "";
  });
  return select;
}

/** @param {Admin} admin */
function factorFor(admin) {
  const button = rowButton("Remove second factor", `Remove second factor: ${admin.email}`, () => {
    removing.dataset.id = admin.id;
    byId("factor-email").textContent = admin.email;
    removing.hidden = false;
    // People who sign in without a password only have the button.
    const first = removing.querySelector("input[type=password], button");
    if (first instanceof HTMLElement) first.focus();
  });
  return button;
}

/** @param {Admin} admin */
function switchFor(admin) {
  const name = admin.disabled ? "Enable" : "Disable";
  const button = rowButton(name, `${name} ${admin.email}`, async () => {
    const verb = admin.disabled ? "enable" : "disable";
    const words = admin.disabled ? "can sign in again." : "is disabled; open pages close within seconds.";
    await change(`${URL_OF_ALL}/${encodeURIComponent(admin.id)}/${verb}`, {}, `${admin.email} ${words}`);
  });
  return button;
}

/**
 * @param {string} url
 * @param {unknown} body
 * @param {string | ((answer: unknown) => string)} done What is said then; empty to say nothing.
 * @param {boolean} again Whether the list is to be loaded again.
 * @returns {Promise<boolean>}
 */
async function change(url, body, done, again = true) {
  const line = byId("done");
  // Clear the messages of the change before.
  line.className = "visually-hidden";
  line.textContent = "";
  byId("handout").hidden = true;
  showProblem(byId("problem"), null);
  const answer = await ask(url, { method: "POST", body });
  showProblem(byId("problem"), answer.ok ? null : answer);
  if (!answer.ok) return false;
  const words = typeof done === "string" ? done : done(answer.data);
  if (words) line.className = "success";
  line.textContent = words;
  if (again) await load();
  return true;
}

/**
 * A link was mailed, which is said, or has to be handed out, which is shown.
 * @param {unknown} answer
 */
function handOut(answer) {
  const { email, link, endsAt, problem } = handoutFrom(answer);
  if (link === null) return `A link was mailed to ${email}.`;
  byId("handout-email").textContent = email;
  byId("handout-link").textContent = link;
  byId("handout-problem").textContent = problem ?? "";
  byId("handout-until").textContent = endsAt ? format.moment(endsAt) : "tomorrow";
  byId("handout").hidden = false;
  byId("handout").focus();
  return "";
}

const adding = byId("add", HTMLFormElement);
adding.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password, role } = Object.fromEntries(new FormData(adding));
  const added = password
    ? change(URL_OF_ALL, { email, password, role }, `${email} can sign in now.`, false)
    : change(`${URL_OF_ALL}/invite`, { email, role }, handOut, false);
  if (!(await added)) return;
  // Before the list is loaded, so that text typed in the meantime is kept.
  adding.reset();
  await load();
});
const changing = byId("change", HTMLFormElement);
changing.addEventListener("submit", async (event) => {
  event.preventDefault();
  // People who sign in without a password have no such field.
  const { whose, current = "", new: password } = Object.fromEntries(new FormData(changing));
  const url = `${URL_OF_ALL}/${encodeURIComponent(String(whose))}`;
  const changed = password
    ? change(`${url}/password`, { currentPassword: current, password }, "The password was changed.", false)
    : change(`${url}/link`, { currentPassword: current }, handOut, false);
  if (!(await changed)) return;
  for (const field of changing.querySelectorAll("input[type=password]")) {
    /** @type {HTMLInputElement} */ (field).value = "";
  }
  await load();
});
const removing = byId("factor", HTMLFormElement);
removing.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { current = "" } = Object.fromEntries(new FormData(removing));
  const email = byId("factor-email").textContent;
  const url = `${URL_OF_ALL}/${encodeURIComponent(removing.dataset.id ?? "")}/remove-second-factor`;
  if (!(await change(url, { currentPassword: current }, `${email} can sign in with the password only.`))) return;
  removing.reset();
  removing.hidden = true;
});
wireCopy(document);
enableForms();
wireShell();
void load();
