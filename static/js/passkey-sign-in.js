/** The button that signs in with a passkey. */

import { ask } from "./ask.js";
import { base } from "./base.js";
import { byId } from "./page.js";
import { supportsPasskeys, passkeyProblem, usePasskey } from "./passkey.js";

const button = byId("passkey", HTMLButtonElement);
const place = byId("passkey-problem");

async function signIn() {
  const offered = await ask("/login/passkey/options", { method: "POST", body: {} });
  if (!offered.ok) return offered.sentence;
  let credential;
  try {
    credential = await usePasskey(offered.data);
  } catch (error) {
    return passkeyProblem(error);
  }
  const done = await ask("/login/passkey", { method: "POST", body: { credential } });
  if (!done.ok) return done.sentence;
  location.assign(base + (button.dataset.next ?? "/"));
  return "";
}

if (supportsPasskeys()) {
  button.hidden = false;
  byId("ways").hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    place.hidden = true;
    const problem = await signIn();
    place.textContent = problem;
    place.hidden = !problem;
    button.disabled = false;
    if (problem) button.focus();
  });
}
