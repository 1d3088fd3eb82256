/** The person's own account: password, sessions, second factor, passkeys. */

import { ask } from "./ask.js";
import { wireCopy } from "./copy.js";
import { createFormat } from "./format.js";
import { enableForms, byId } from "./page.js";
import { createPasskey, supportsPasskeys, passkeyProblem } from "./passkey.js";
import { showProblem } from "./problem.js";
import { rowButton } from "./row-button.js";
import { wireShell } from "./shell.js";
import { creationFrom, totpSetupFrom, passkeysFrom, recoveryCodesFrom } from "./wire/people.js";

const URL_OF_ME = "/api/admin/me";

/**
 * @param {string} url
 * @param {unknown} body
 * @param {string} done what is said then; empty to say nothing
 * @returns {Promise<{data: unknown} | null>} null if it did not work, which is shown
 */
async function change(url, body, done) {
  const line = byId("done");
  line.className = "visually-hidden";
  line.textContent = "";
  const answer = await ask(url, { method: "POST", body });
  tell(answer.ok ? null : answer);
  if (!answer.ok) return null;
  if (done) line.className = "success";
  line.textContent = done;
  return answer;
}

/** @param {import("./problem.js").Failure | null} failure shown at the top of the page; null: all is well */
function tell(failure) {
  const place = byId("problem");
  showProblem(place, failure);
  // The form may be far below.
  if (failure) place.scrollIntoView({ block: "center" });
}

const changing = byId("change", HTMLFormElement);
changing.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { current = "", new: password } = Object.fromEntries(new FormData(changing));
  const body = { currentPassword: current, password };
  if (await change(`${URL_OF_ME}/password`, body, "Your password was changed.")) changing.reset();
});
byId("sign-out").addEventListener("click", async () => {
  if (await change(`${URL_OF_ME}/sign-out`, {}, "You have been signed out everywhere.")) location.reload();
});
const beginning = byId("begin", HTMLFormElement);
beginning.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { currentPassword: new FormData(beginning).get("password") ?? "" };
  const url = `${URL_OF_ME}/second-factor`;
  if (byId("factor").dataset.on === "yes") {
    if (await change(`${url}/remove`, body, "Your second factor was removed.")) location.reload();
    return;
  }
  const answer = await change(url, body, "");
  if (!answer) return;
  const { secret, image } = totpSetupFrom(answer.data);
  byId("qr", HTMLImageElement).src = image;
  byId("factor-secret").textContent = secret;
  beginning.hidden = true;
  byId("confirm").hidden = false;
  byId("code").focus();
});
const confirming = byId("confirm", HTMLFormElement);
confirming.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { code: new FormData(confirming).get("code") };
  const answer = await change(`${URL_OF_ME}/second-factor/confirm`, body, "Your second factor was set up.");
  if (!answer) return;
  byId("factor").hidden = true;
  handOut(recoveryCodesFrom(answer.data));
});

const renewing = document.getElementById("renew");
if (renewing instanceof HTMLFormElement) {
  renewing.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { currentPassword: new FormData(renewing).get("password") ?? "" };
    const url = `${URL_OF_ME}/second-factor/recovery-codes`;
    const answer = await change(url, body, "Your earlier recovery codes do not work any more.");
    if (!answer) return;
    renewing.reset();
    handOut(recoveryCodesFrom(answer.data));
  });
}

/** @param {string[]} codes */
function handOut(codes) {
  byId("recovery-codes").textContent = codes.join("\n");
  byId("recovery").hidden = false;
  byId("recovery").focus();
}

const URL_OF_PASSKEYS = `${URL_OF_ME}/passkeys`;
const format = createFormat();

async function loadPasskeys() {
  const answer = await ask(URL_OF_PASSKEYS);
  if (!answer.ok) {
    tell(answer);
    return;
  }
  byId("passkey-list").replaceChildren(...passkeysFrom(answer.data).map(itemOf));
}

/** @param {import("./types.js").Passkey} passkey */
function itemOf({ id, name, createdAt, usedAt }) {
  const item = document.createElement("li");
  const words = document.createElement("span");
  const title = document.createElement("bdi");
  title.textContent = name;
  const when = document.createElement("span");
  when.className = "aside";
  const added = createdAt ? `added ${format.date(createdAt)}` : "";
  when.textContent = `${added}, ${usedAt ? `last used ${format.date(usedAt)}` : "not used yet"}`;
  words.append(title, when);
  const button = rowButton("Remove", `Remove ${name}`, async () => {
    const field = passwordField();
    if (field && !field.reportValidity()) return;
    const body = { currentPassword: field?.value ?? "" };
    const url = `${URL_OF_PASSKEYS}/${encodeURIComponent(id)}/remove`;
    if (await change(url, body, `The passkey ${name} was removed.`)) await loadPasskeys();
  });
  item.append(words, button);
  return item;
}

/** @returns {HTMLInputElement | null} null for people without a password */
function passwordField() {
  const field = document.getElementById("passkey-password");
  return field instanceof HTMLInputElement ? field : null;
}

/** @param {HTMLFormElement} form */
async function addPasskey(form) {
  const { name, password = "" } = Object.fromEntries(new FormData(form));
  const offered = await change(`${URL_OF_PASSKEYS}/options`, { currentPassword: password }, "");
  if (!offered) return;
  let credential;
  try {
    credential = await createPasskey(creationFrom(offered.data));
  } catch (error) {
    tell({ ok: false, status: 0, sentence: passkeyProblem(error) });
    return;
  }
  const added = await change(URL_OF_PASSKEYS, { name, credential }, `The passkey ${name} was added.`);
  if (!added) return;
  form.reset();
  const codes = recoveryCodesFrom(added.data);
  if (codes.length > 0) handOut(codes);
  await loadPasskeys();
}

if (document.getElementById("passkey-form")) {
  const form = byId("passkey-form", HTMLFormElement);
  form.hidden = !supportsPasskeys();
  byId("passkey-old").hidden = !form.hidden;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void addPasskey(form);
  });
  void loadPasskeys();
}
wireCopy(document);
enableForms();
wireShell();
