/** The page of one's own account: password and sessions. */

import { ask } from "./ask.js";
import { part } from "./page.js";
import { showProblem } from "./problem.js";
import { wireTheme } from "./theme.js";

const URL_OF_ME = "/api/admin/me";

/**
 * @param {string} url
 * @param {unknown} body
 * @param {string} done what is said then
 * @returns {Promise<boolean>}
 */
async function change(url, body, done) {
  const line = part("done");
  line.className = "visually-hidden";
  line.textContent = "";
  const answer = await ask(url, { method: "POST", body });
  showProblem(part("problem"), answer.ok ? null : answer);
  if (!answer.ok) return false;
  line.className = "success";
  line.textContent = done;
  return true;
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
wireTheme();
