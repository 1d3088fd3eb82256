/** The page of the alert channels and rules, for admins. */

import { channelsFrom, ruleWords, rulesFrom, toldOf } from "./alerts.js";
import { ask } from "./ask.js";
import { createFormat } from "./format.js";
import { enableForms, byId } from "./page.js";
import { showProblem } from "./problem.js";
import { rowButton } from "./row-button.js";
import { wireShell } from "./shell.js";
import { testedFrom } from "./wire/incidents.js";

/** @typedef {import("./types.js").AlertChannel} AlertChannel */
/** @typedef {import("./types.js").AlertRule} AlertRule */

const CHANNELS = "/api/admin/alerts/channels";
const RULES = "/api/admin/alerts/rules";
/** An attempt through Apprise may take twenty seconds. */
const TEST_MS = 60_000;
const format = createFormat();
const form = byId("channel-form", HTMLFormElement);
const ruleForm = byId("rule-form", HTMLFormElement);
const figure = byId("figure", HTMLSelectElement);
/** @type {[string, string][]} */
let kinds = [];
/** @type {AlertChannel | null} the channel that the form changes */
let changing = null;
/** @type {AlertRule | null} the rule that its form changes */
let changingRule = null;

async function loadChannels() {
  const answer = await ask(CHANNELS);
  if (!answer.ok) return showProblem(byId("problem"), answer);
  const found = channelsFrom(answer.data);
  if (kinds.length === 0) drawKinds(found.kinds);
  kinds = found.kinds;
  byId("zone").textContent = ` (${found.timeZone})`;
  byId("channels-table").hidden = found.channels.length === 0;
  byId("no-channels").hidden = found.channels.length > 0;
  byId("channels").replaceChildren(...found.channels.map(channelRow));
}

async function loadRules() {
  const answer = await ask(RULES);
  if (!answer.ok) return showProblem(byId("problem"), answer);
  const { rules, figures } = rulesFrom(answer.data);
  if (figure.options.length === 0) drawFigures(figures);
  byId("rules-table").hidden = rules.length === 0;
  byId("no-rules").hidden = rules.length > 0;
  byId("rules").replaceChildren(...rules.map(ruleRow));
}

/** @param {[string, string][]} found */
function drawKinds(found) {
  byId("kinds").replaceChildren(
    ...found.map(([kind, words]) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.value = kind;
      label.append(box, ` ${words}`);
      return label;
    }),
  );
}

/** @param {[string, number | null][]} figures */
function drawFigures(figures) {
  const expected = document.createElement("optgroup");
  expected.label = "Outside the expected range";
  expected.append(new Option("sent in a full hour", "outside sent"), new Option("received in a full hour", "outside received"));
  const all = document.createElement("optgroup");
  all.label = "Figures, with their current values";
  all.append(...figures.map(([path, value]) => new Option(`${path} (${format.rate(value)})`, path)));
  figure.append(all, expected);
  showThreshold();
}

/** @param {AlertChannel} channel */
function channelRow(channel) {
  const { id, name, address } = channel;
  const about = id === null ? "from DMSTATS_ALERT_URL" : (address ?? "unreadable because SECRET_KEY has changed; enter the address again");
  const actions = document.createElement("td");
  if (id !== null) {
    const url = `${CHANNELS}/${encodeURIComponent(id)}`;
    actions.append(
      rowButton("Test", `Test ${name}`, () => void test(url, name)),
      " ",
      rowButton("Change", `Change ${name}`, () => open(channel)),
      " ",
      rowButton("Delete", `Delete ${name}`, async () => {
        if (!(await change(`${url}/delete`, {}, `${name} was deleted.`))) return;
        byId("channels-title").focus();
        if (changing?.id === id) form.reset();
        await loadChannels();
      }),
    );
  }
  return row(head(name, about, toldOf(channel, kinds)), actions);
}

/** @param {AlertRule} rule */
function ruleRow(rule) {
  const words = ruleWords(rule);
  const actions = document.createElement("td");
  actions.append(
    rowButton("Change", `Change ${words}`, () => openRule(rule)),
    " ",
    rowButton("Delete", `Delete ${words}`, async () => {
      if (!(await change(`${RULES}/${encodeURIComponent(rule.id)}/delete`, {}, "The rule was deleted."))) return;
      byId("rules-title").focus();
      if (changingRule?.id === rule.id) ruleForm.reset();
      await loadRules();
    }),
  );
  const now = rule.sense === "outside" ? "checked every full hour" : rule.since ? `met since ${format.moment(rule.since)}` : "not met";
  return row(head(words, now), actions);
}

/**
 * @param {string} url
 * @param {string} name
 */
async function test(url, name) {
  say(`Sending a test alert to ${name}…`);
  const answer = await ask(`${url}/test`, { method: "POST", body: {}, timeout: TEST_MS });
  showProblem(byId("problem"), answer.ok ? null : answer);
  if (!answer.ok) return say("");
  const [tested] = testedFrom(answer.data);
  if (tested?.told) return say(`${name}: told.`);
  say("");
  showProblem(byId("problem"), { ok: false, status: 400, sentence: `${name}: ${tested?.problem ?? "failed"}.` });
}

/** @param {AlertChannel | null} channel null: a new one */
function open(channel) {
  changing = channel;
  byId("channel-title").textContent = channel ? `Change ${channel.name}` : "Add a channel";
  byId("channel-save").textContent = channel ? "Save" : "Add";
  byId("channel-cancel").hidden = !channel;
  const url = byId("url", HTMLInputElement);
  url.placeholder = channel ? "Leave empty to keep the address" : "";
  url.required = !channel;
  const every = byId("every", HTMLInputElement);
  every.checked = !channel?.incidents;
  byId("kinds").hidden = every.checked;
  for (const box of boxes()) box.checked = channel?.incidents?.includes(box.value) ?? false;
  if (!channel) return;
  const name = byId("name", HTMLInputElement);
  name.value = channel.name;
  url.value = "";
  byId("quiet-from", HTMLInputElement).value = channel.quietFrom;
  byId("quiet-to", HTMLInputElement).value = channel.quietTo;
  name.focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const sent = new FormData(form);
  const all = byId("every", HTMLInputElement).checked;
  const body = {
    name: sent.get("name"),
    ...(sent.get("url") && { url: sent.get("url") }),
    incidents: all ? null : boxes().filter((box) => box.checked).map((box) => box.value),
    quietFrom: sent.get("quietFrom") || null,
    quietTo: sent.get("quietTo") || null,
  };
  const url = changing?.id ? `${CHANNELS}/${encodeURIComponent(changing.id)}` : CHANNELS;
  if (!(await change(url, body, `${body.name} was saved.`))) return;
  form.reset();
  await loadChannels();
});
form.addEventListener("reset", () => open(null));
byId("every").addEventListener("change", () => {
  byId("kinds").hidden = byId("every", HTMLInputElement).checked;
});

/** @returns {HTMLInputElement[]} */
function boxes() {
  return [...byId("kinds").querySelectorAll("input")];
}

function showThreshold() {
  const isExpected = figure.value.startsWith("outside ");
  byId("threshold-part").hidden = isExpected;
  byId("threshold", HTMLInputElement).required = !isExpected;
}

/** @param {AlertRule | null} rule null: a new one */
function openRule(rule) {
  changingRule = rule;
  byId("rule-title").textContent = rule ? "Change a rule" : "Add a rule";
  byId("rule-save").textContent = rule ? "Save" : "Add";
  byId("rule-cancel").hidden = byId("rule-again").hidden = !rule;
  if (rule) {
    const chosen = rule.sense === "outside" ? `outside ${rule.figure}` : rule.figure;
    // A figure that the newest snapshot does not have.
    if (![...figure.options].some((each) => each.value === chosen)) figure.prepend(new Option(chosen, chosen));
    figure.value = chosen;
    if (rule.sense !== "outside") byId("sense", HTMLSelectElement).value = rule.sense;
    byId("threshold", HTMLInputElement).value = rule.threshold === null ? "" : String(rule.threshold);
    byId("minutes", HTMLInputElement).value = String(rule.minutes);
    figure.focus();
  }
  showThreshold();
}

figure.addEventListener("change", showThreshold);
// The fields are reset after the event.
ruleForm.addEventListener("reset", () => setTimeout(() => openRule(null)));
ruleForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const minutes = Number(byId("minutes", HTMLInputElement).value);
  const [outside, expected] = figure.value.split(" ");
  const body = expected
    ? { figure: expected, sense: outside, minutes }
    : {
        figure: figure.value,
        sense: byId("sense", HTMLSelectElement).value,
        threshold: Number(byId("threshold", HTMLInputElement).value),
        minutes,
      };
  const url = changingRule ? `${RULES}/${encodeURIComponent(changingRule.id)}` : RULES;
  if (!(await change(url, body, changingRule ? "The rule was changed." : "The rule was added."))) return;
  ruleForm.reset();
  await loadRules();
});

/**
 * @param {string} url
 * @param {unknown} body
 * @param {string} sentence to say when it worked
 * @returns {Promise<boolean>} whether it worked; if not, that is shown
 */
async function change(url, body, sentence) {
  say("");
  const answer = await ask(url, { method: "POST", body, timeout: TEST_MS });
  showProblem(byId("problem"), answer.ok ? null : answer);
  if (answer.ok) say(sentence);
  return answer.ok;
}

/** @param {string} text empty to say nothing */
function say(text) {
  byId("done").className = text ? "success" : "visually-hidden";
  byId("done").textContent = text;
}

/** @param {HTMLElement[]} cells */
function row(...cells) {
  const created = document.createElement("tr");
  created.append(...cells);
  return created;
}

/**
 * @param {string} name
 * @param {string[]} about lines below it
 */
function head(name, ...about) {
  const created = document.createElement("th");
  created.scope = "row";
  const words = document.createElement("bdi");
  words.textContent = name;
  created.append(words);
  for (const text of about) {
    const line = document.createElement("span");
    line.className = "origin";
    line.textContent = text;
    created.append(line);
  }
  return created;
}

enableForms();
wireShell();
open(null);
void loadChannels();
void loadRules();
