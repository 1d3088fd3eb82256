/** The annotations of the charted range: marks on the chart, the list below it, and the form for notes. */

import { annotationsFrom, localInput, authorsText } from "./annotations.js";
import { ask } from "./ask.js";
import { base } from "./base.js";
import { breakable } from "./breakable.js";
import { byId } from "./page.js";
import { showProblem } from "./problem.js";
import { rowButton } from "./row-button.js";

/** @typedef {import("./types.js").Annotation} Annotation */
/** @typedef {import("./types.js").Picture} Picture */

const URL_OF_ALL = "/api/admin/annotations";
/** Reload after this time: other people may write notes, and incidents may begin. */
const ANEW_MS = 300_000;
const KINDS = { note: "", version: "Version", incident: "Incident", repair: "Repair" };

/**
 * @param {object} options
 * @param {(annotations: Annotation[]) => void} options.mark shows them on the chart
 * @param {import("./format.js").Format} options.format
 * @param {() => number} options.now milliseconds since the epoch
 */
export function createNotes({ mark, format, now }) {
  const list = byId("notes-rows");
  /** Only for people who may write notes. */
  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("note-form"));
  /** @type {{from: number, to: string | null, at: number, complete: boolean} | null} */
  let asked = null;
  /** @type {Annotation[]} */
  let known = [];
  /** @type {{from: number, to: string | null}} */
  let span = { from: 0, to: null };
  /** @type {Annotation | null} the note that the form changes */
  let changing = null;

  async function load() {
    const mine = { ...span, at: now(), complete: false };
    asked = mine;
    const query = new URLSearchParams({ from: new Date(mine.from).toISOString(), ...(mine.to && { to: mine.to }) });
    const answer = await ask(`${URL_OF_ALL}?${query}`);
    if (asked !== mine) return;
    showProblem(byId("notes-problem"), answer.ok ? null : answer);
    if (!answer.ok) return;
    const { annotations, complete } = annotationsFrom(answer.data);
    mine.complete = complete;
    known = annotations;
    draw();
  }

  function draw() {
    const end = span.to === null ? Infinity : Date.parse(span.to);
    const shown = known.filter(({ at }) => Date.parse(at) >= span.from && Date.parse(at) < end);
    mark(shown);
    byId("notes-count").textContent = shown.length ? ` (${shown.length})` : "";
    const none = "No annotations in this range.";
    byId("notes-none").textContent = asked?.complete ? none : "Only the newest 200 of each kind are listed.";
    byId("notes-none").hidden = shown.length > 0 && asked?.complete === true;
    // Keep the focus in its row.
    if (!list.contains(document.activeElement)) list.replaceChildren(...shown.reverse().map(rowOf));
  }

  /** @param {Annotation} annotation */
  function rowOf(annotation) {
    const row = document.createElement("li");
    const time = document.createElement("time");
    time.dateTime = annotation.at;
    time.title = format.utc(annotation.at);
    time.textContent = format.moment(annotation.at);
    row.append(time, " ", textOf(annotation));
    if (annotation.kind === "note" && form) {
      row.append(" ", rowButton("Change", `Change ${annotation.text}`, () => open(annotation)));
      row.append(" ", rowButton("Delete", `Delete ${annotation.text}`, () => void remove(annotation)));
    }
    return row;
  }

  /** After a change, the row or form that had the focus no longer exists. */
  async function reload() {
    byId("notes-summary").focus();
    await load();
  }

  /** @param {Annotation} annotation */
  async function remove(annotation) {
    if (await change(`${URL_OF_ALL}/${encodeURIComponent(annotation.id)}/delete`, {})) await reload();
  }

  /** @param {Annotation | null} annotation null: a new one */
  function open(annotation) {
    if (!form) return;
    changing = annotation;
    form.hidden = false;
    byId("note-at", HTMLInputElement).value = localInput(annotation?.at ?? new Date(now()).toISOString());
    const text = byId("note-text", HTMLInputElement);
    text.value = annotation?.text ?? "";
    text.focus();
  }

  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = {
      at: new Date(byId("note-at", HTMLInputElement).value).toISOString(),
      text: byId("note-text", HTMLInputElement).value,
    };
    const url = changing ? `${URL_OF_ALL}/${encodeURIComponent(changing.id)}` : URL_OF_ALL;
    if (!(await change(url, body))) return;
    form.hidden = true;
    await reload();
  });
  form?.addEventListener("reset", () => {
    form.hidden = true;
    byId("notes-summary").focus();
  });
  if (form) byId("note-add").addEventListener("click", () => open(null));

  return {
    /** @param {Picture} picture what the chart shows */
    show(picture) {
      const first = picture.points[0];
      if (!first) return;
      span = { from: Date.parse(first.at), to: picture.to };
      const has = asked?.complete && asked.from <= span.from && asked.to === span.to && now() - asked.at < ANEW_MS;
      if (has) draw();
      else void load();
    },
  };
}

/**
 * @param {string} url
 * @param {unknown} body
 * @returns {Promise<boolean>} whether it worked; if not, that is shown
 */
async function change(url, body) {
  const answer = await ask(url, { method: "POST", body });
  showProblem(byId("notes-problem"), answer.ok ? null : answer);
  return answer.ok;
}

/** @param {Annotation} annotation */
function textOf(annotation) {
  const { kind, id, text } = annotation;
  const words = document.createElement(kind === "incident" ? "a" : "span");
  words.textContent = text;
  if (words instanceof HTMLAnchorElement) words.href = `${base}/incidents/${encodeURIComponent(id)}`;
  const about = document.createElement("small");
  about.append(...breakable(authorsText(annotation) || KINDS[kind]));
  const both = document.createDocumentFragment();
  both.append(words, " ", about);
  return both;
}
