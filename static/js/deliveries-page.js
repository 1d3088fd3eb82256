/** The page of deliveries that were not fully counted, and of unknown events. */

import { ask } from "./ask.js";
import { breakable } from "./breakable.js";
import { now } from "./clock.js";
import { detailsOf, outcomeOf } from "./deliveries.js";
import { createFormat } from "./format.js";
import { createFreshness } from "./freshness.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";
import { wireShell } from "./shell.js";
import { deliveriesFrom } from "./wire/deliveries.js";

/** @typedef {import("./types.js").Delivery} Delivery */
/** @typedef {import("./types.js").EventName} EventName */

const POLL_MS = 30_000;
const STEP = 100;
const MAX_DELIVERIES = 1000;
const OK = 200;
const format = createFormat();
const freshness = createFreshness(byId("age"), document.documentElement, format, now);
const rows = byId("rows", HTMLTableSectionElement);
const more = byId("more", HTMLButtonElement);

let group = "";
let limit = STEP;
let latestRequest = 0;

async function load() {
  const query = new URLSearchParams({ limit: String(limit) });
  if (group) query.set("group", group);
  const thisRequest = (latestRequest += 1);
  const answer = await ask(`/api/admin/deliveries?${query}`);
  // A newer request was sent in the meantime.
  if (thisRequest !== latestRequest) return;
  showProblem(byId("problem"), answer.ok ? null : answer);
  if (!answer.ok) return;
  const { deliveries, names } = deliveriesFrom(answer.data);
  rows.replaceChildren(...deliveries.map(rowOf));
  byId("name-rows").replaceChildren(...names.map(nameRow));
  byId("names").hidden = names.length === 0;
  byId("no-names").hidden = names.length > 0;
  byId("list").hidden = deliveries.length === 0;
  byId("nothing").hidden = deliveries.length > 0;
  byId("nothing").textContent = group === "sample" ? "No samples yet." : "No problems: all deliveries were fully counted.";
  more.hidden = deliveries.length < limit || limit >= MAX_DELIVERIES;
  byId("count").textContent = `The newest ${format.count(deliveries.length)}`;
  freshness.touch();
}

/** Reload, unless the reader has opened the details of one. */
function reload() {
  const reading = rows.contains(document.activeElement) || rows.querySelector("details[open]");
  if (!document.hidden && !reading) void load();
}

/** @param {Delivery} delivery */
function rowOf(delivery) {
  const row = document.createElement("tr");
  const time = cell("th", delivery.at ? format.moment(delivery.at) : "unknown");
  time.scope = "row";
  if (delivery.at) time.title = format.utc(delivery.at);
  const status = cell("td", format.count(delivery.status));
  status.dataset.bad = String(delivery.status !== OK);
  const what = cell("td", "");
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.append(...breakable(outcomeOf(delivery, format)));
  const list = document.createElement("dl");
  for (const [name, value] of detailsOf(delivery, format)) {
    const term = document.createElement("dt");
    term.textContent = name;
    const meaning = document.createElement("dd");
    meaning.append(...breakable(value));
    list.append(term, meaning);
  }
  details.append(summary, list);
  what.append(details);
  const took = cell("td", delivery.ms === null ? "–" : `${delivery.ms} ms`);
  took.className = "figure wide";
  row.append(time, status, what, took);
  return row;
}

/** @param {EventName} event */
function nameRow({ name, counted, firstAt, lastAt, keys }) {
  const row = document.createElement("tr");
  const head = cell("th", "");
  head.scope = "row";
  const code = document.createElement("code");
  code.append(...breakable(name));
  const mark = document.createElement("span");
  mark.className = "mark";
  mark.textContent = counted ? "counted as unknown" : "rejected";
  head.append(code, " ", mark);
  const fields = cell("td", keys.join(", ") || "–");
  fields.className = "wide";
  row.append(head, ...[firstAt, lastAt].map((at) => cell("td", at ? format.moment(at) : "–")), fields);
  return row;
}

/**
 * @template {"td" | "th"} Tag
 * @param {Tag} tag
 * @param {string} text
 */
function cell(tag, text) {
  const created = document.createElement(tag);
  created.textContent = text;
  return created;
}

const choices = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-group]"));
for (const button of choices) {
  button.addEventListener("click", () => {
    for (const each of choices) each.setAttribute("aria-pressed", String(each === button));
    group = button.dataset.group ?? "";
    limit = STEP;
    void load();
  });
}
more.addEventListener("click", () => {
  limit = Math.min(MAX_DELIVERIES, limit + 3 * STEP);
  void load();
});

wireShell();
void load();
setInterval(() => freshness.tick(), 1000);
document.addEventListener("visibilitychange", reload);
setInterval(reload, POLL_MS);
