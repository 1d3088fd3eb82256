/** The page of the alert channels and rules, for admins. */

import { channelsFrom, ruleWords, rulesFrom, toldOf } from "./alerts.js";
import { ask } from "./ask.js";
import { createFormat } from "./format.js";
import { openForms, part } from "./page.js";
import { showProblem } from "./problem.js";
import { rowButton } from "./row-button.js";
import { wireTheme } from "./theme.js";
import { testedFrom } from "./wire/incidents.js";

/** @typedef {import("./types.js").AlertChannel} AlertChannel */
/** @typedef {import("./types.js").AlertRule} AlertRule */

const CHANNELS = "/api/admin/alerts/channels";
const RULES = "/api/admin/alerts/rules";
/** An address that Apprise sends to may take twenty seconds. */
const TEST_MS = 60_000;
const format = createFormat();
const form = part("channel-form", HTMLFormElement);
const ruleForm = part("rule-form", HTMLFormElement);
const figure = part("figure", HTMLSelectElement);
/** @type {[string, string][]} */
let kinds = [];
/** @type {AlertChannel | null} the channel that the form changes */
let changing = null;

async function loadChannels() {
  const answer = await ask(CHANNELS);
  if (!answer.ok) return showProblem(part("problem"), answer);
  const found = channelsFrom(answer.data);
  if (kinds.length === 0) drawKinds(found.kinds);
  kinds = found.kinds;
  part("zone").textContent = found.timeZone;
  part("channels-table").hidden = found.channels.length === 0;
  part("no-channels").hidden = found.channels.length > 0;
  part("channels").replaceChildren(...found.channels.map(channelRow));
}

async function loadRules() {
  const answer = await ask(RULES);
  if (!answer.ok) return showProblem(part("problem"), answer);
  const { rules, figures } = rulesFrom(answer.data);
  if (figure.options.length === 0) drawFigures(figures);
  part("rules-table").hidden = rules.length === 0;
  part("no-rules").hidden = rules.length > 0;
  part("rules").replaceChildren(...rules.map(ruleRow));
}

/** @param {[string, string][]} found */
function drawKinds(found) {
  part("kinds").replaceChildren(
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
        part("channels-title").focus();
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
    rowButton("Delete", `Delete ${words}`, async () => {
      if (!(await change(`${RULES}/${encodeURIComponent(rule.id)}/delete`, {}, "The rule was deleted."))) return;
      part("rules-title").focus();
      await loadRules();
    }),
  );
  const now = rule.sense === "outside" ? "checked by hour" : rule.since ? `met since ${format.moment(rule.since)}` : "not met";
  return row(head(words, now), actions);
}

/**
 * @param {string} url
 * @param {string} name
 */
async function test(url, name) {
  say(`Sending a test alert to ${name}…`);
  const answer = await ask(`${url}/test`, { method: "POST", body: {}, timeout: TEST_MS });
  showProblem(part("problem"), answer.ok ? null : answer);
  if (!answer.ok) return say("");
  const [tested] = testedFrom(answer.data);
  if (tested?.told) return say(`${name}: told.`);
  say("");
  showProblem(part("problem"), { ok: false, status: 400, sentence: `${name}: ${tested?.problem ?? "failed"}.` });
}

/** @param {AlertChannel | null} channel null: a new one */
function open(channel) {
  changing = channel;
  part("channel-title").textContent = channel ? `Change ${channel.name}` : "Add a channel";
  part("channel-save").textContent = channel ? "Save" : "Add";
  part("channel-cancel").hidden = !channel;
  const url = part("url", HTMLInputElement);
  url.placeholder = channel ? "Leave empty to keep the address" : "";
  url.required = !channel;
  const every = part("every", HTMLInputElement);
  every.checked = !channel?.incidents;
  part("kinds").hidden = every.checked;
  for (const box of boxes()) box.checked = channel?.incidents?.includes(box.value) ?? false;
  if (!channel) return;
  const name = part("name", HTMLInputElement);
  name.value = channel.name;
  url.value = "";
  part("quiet-from", HTMLInputElement).value = channel.quietFrom;
  part("quiet-to", HTMLInputElement).value = channel.quietTo;
  name.focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const sent = new FormData(form);
  const all = part("every", HTMLInputElement).checked;
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
part("every").addEventListener("change", () => {
  part("kinds").hidden = part("every", HTMLInputElement).checked;
});

/** @returns {HTMLInputElement[]} */
function boxes() {
  return [...part("kinds").querySelectorAll("input")];
}

function showThreshold() {
  const isExpected = figure.value.startsWith("outside ");
  part("threshold-part").hidden = isExpected;
  part("threshold", HTMLInputElement).required = !isExpected;
}

figure.addEventListener("change", showThreshold);
ruleForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const minutes = Number(part("minutes", HTMLInputElement).value);
  const [outside, expected] = figure.value.split(" ");
  const body = expected
    ? { figure: expected, sense: outside, minutes }
    : {
        figure: figure.value,
        sense: part("sense", HTMLSelectElement).value,
        threshold: Number(part("threshold", HTMLInputElement).value),
        minutes,
      };
  if (!(await change(RULES, body, "The rule was added."))) return;
  ruleForm.reset();
  showThreshold();
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
  showProblem(part("problem"), answer.ok ? null : answer);
  if (answer.ok) say(sentence);
  return answer.ok;
}

/** @param {string} text empty to say nothing */
function say(text) {
  part("done").className = text ? "success" : "visually-hidden";
  part("done").textContent = text;
}

/** @param {HTMLElement[]} cells */
function row(...cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}

/**
 * @param {string} name
 * @param {string[]} about lines below it
 */
function head(name, ...about) {
  const made = document.createElement("th");
  made.scope = "row";
  const words = document.createElement("bdi");
  words.textContent = name;
  made.append(words);
  for (const text of about) {
    const line = document.createElement("span");
    line.className = "origin";
    line.textContent = text;
    made.append(line);
  }
  return made;
}

openForms();
wireTheme();
open(null);
void loadChannels();
void loadRules();
