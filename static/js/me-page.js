/** The page of one's own account: password, sessions, second factor. */

import { ask } from "./ask.js";
import { wireCopy } from "./copy.js";
import { part } from "./page.js";
import { showProblem } from "./problem.js";
import { wireTheme } from "./theme.js";
import { offerFrom, recoveryCodesFrom } from "./wire.js";

const URL_OF_ME = "/api/admin/me";

/**
 * @param {string} url
 * @param {unknown} body
 * @param {string} done what is said then; empty to say nothing
 * @returns {Promise<{data: unknown} | null>} null if it did not work, which is shown
 */
async function change(url, body, done) {
  const line = part("done");
  line.className = "visually-hidden";
  line.textContent = "";
  const answer = await ask(url, { method: "POST", body });
  showProblem(part("problem"), answer.ok ? null : answer);
  if (!answer.ok) return null;
  if (done) line.className = "success";
  line.textContent = done;
  return answer;
}

const changing = part("change", HTMLFormElement);
changing.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { current, new: password } = Object.fromEntries(new FormData(changing));
  const body = { currentPassword: current, password };
  if (await change(`${URL_OF_ME}/password`, body, "Your password was changed.")) changing.reset();
});
part("sign-out").addEventListener("click", async () => {
  if (await change(`${URL_OF_ME}/sign-out`, {}, "You are signed out everywhere.")) location.reload();
});
const beginning = part("begin", HTMLFormElement);
beginning.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { currentPassword: new FormData(beginning).get("password") };
  const url = `${URL_OF_ME}/second-factor`;
  if (part("factor").dataset.on === "yes") {
    if (await change(`${url}/remove`, body, "Your second factor is removed.")) location.reload();
    return;
  }
  const answer = await change(url, body, "");
  if (!answer) return;
  const { secret, image } = offerFrom(answer.data);
  part("qr", HTMLImageElement).src = image;
  part("factor-secret").textContent = secret;
  beginning.hidden = true;
  part("confirm").hidden = false;
  part("code").focus();
});
const confirming = part("confirm", HTMLFormElement);
confirming.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { code: new FormData(confirming).get("code") };
  const answer = await change(`${URL_OF_ME}/second-factor/confirm`, body, "Your second factor is set up.");
  if (!answer) return;
  part("factor").hidden = true;
  part("recovery-codes").textContent = recoveryCodesFrom(answer.data).join("\n");
  part("recovery").hidden = false;
  part("recovery").focus();
});
wireCopy(document);
wireTheme();
