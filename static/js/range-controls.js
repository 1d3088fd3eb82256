/** The controls above the chart: lists, dates, keys, and the links that save the data. */

import { now } from "./clock.js";
import { byId } from "./page.js";
import { apiQuery, COMPARISONS, RANGES, readView, unitsFor } from "./view.js";

/** @typedef {import("./types.js").View} View */

const KEYS_OFF = "dmstats-keys";
const DAY_MS = 86_400_000;

/**
 * @param {object} options
 * @param {(change: Partial<View>) => void} options.choose
 * @param {() => View} options.view
 * @param {() => number | null} options.since when counting began
 * @param {import("./format.js").Format} options.format
 * @param {{tz?: string, weekStart: string}} options.calendar
 * @param {string} options.url of the history, with what the service's own addresses begin with
 */
export function createControls({ choose, view, since, format, calendar, url }) {
  const range = byId("range", HTMLSelectElement);
  const unit = byId("unit", HTMLSelectElement);
  const compare = byId("compare", HTMLSelectElement);
  const dates = byId("dates", HTMLFormElement);
  const [from, to] = [byId("from", HTMLInputElement), byId("to", HTMLInputElement)];
  const keys = byId("keys", HTMLInputElement);
  /** Whether the dates are open; they close when a range is chosen. */
  let choosing = false;

  /** @param {View["range"]} name */
  function chooseRange(name) {
    if (name === "custom") openDates();
    else change({ range: name, from: "", to: "" });
  }

  /** @param {Partial<View>} wanted of a unit in which it would have too many points it has the usual one */
  function change(wanted) {
    const next = { ...view(), ...wanted };
    choosing = false;
    const fits = next.unit === "" || unitsFor(next, now(), since()).includes(next.unit);
    choose(fits ? wanted : { ...wanted, unit: "" });
  }

  function openDates() {
    choosing = true;
    draw();
    from.value ||= dateOf(now() - 6 * DAY_MS);
    to.value ||= dateOf(now());
    from.focus();
  }

  /** @param {number} ms */
  function dateOf(ms) {
    return format.isoDate(new Date(ms).toISOString());
  }

  range.addEventListener("change", () => chooseRange(/** @type {View["range"]} */ (range.value)));
  unit.addEventListener("change", () => choose({ unit: /** @type {View["unit"]} */ (unit.value) }));
  compare.addEventListener("change", () => choose({ compare: /** @type {View["compare"]} */ (compare.value) }));
  for (const input of [from, to]) {
    input.addEventListener("input", () => {
      choosing = true;
      to.setCustomValidity("");
    });
  }
  dates.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = readView(`from=${from.value}&to=${to.value}`);
    if (wanted.range === "custom") change({ range: "custom", from: from.value, to: to.value });
    else {
      to.setCustomValidity("The last day must not be before the first.");
      to.reportValidity();
    }
  });

  keys.checked = readKeys();
  keys.addEventListener("change", () => writeKeys(keys.checked));
  document.addEventListener("keydown", (event) => {
    if (!keys.checked || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const key = event.key.toLowerCase();
    const name = Object.keys(RANGES).find((each) => RANGES[/** @type {keyof typeof RANGES} */ (each)].key === key);
    if (name && offers(range, name)) change({ range: /** @type {View["range"]} */ (name), from: "", to: "" });
    else if (key === "c") openDates();
    else if (key === "x") {
      const offered = COMPARISONS.filter((each) => offers(compare, each));
      const next = (offered.indexOf(view().compare) + 1) % offered.length;
      choose({ compare: offered[next] ?? "none" });
    } else return;
    event.preventDefault();
  });

  /** Update the controls to the view. */
  function draw() {
    const chosen = view();
    const units = unitsFor(chosen, now(), since());
    for (const option of unit.options) {
      option.disabled = option.value !== "" && option.value !== chosen.unit && !units.some((each) => each === option.value);
    }
    unit.value = chosen.unit;
    compare.value = chosen.compare;
    range.value = choosing ? "custom" : chosen.range;
    dates.hidden = !choosing && chosen.range !== "custom";
    if (!choosing) [from.value, to.value] = [chosen.from, chosen.to];
    const query = apiQuery(chosen, calendar);
    query.set("annotations", "true");
    for (const id of ["csv", "json"]) {
      query.set("format", id);
      byId(id, HTMLAnchorElement).href = `${url}?${query}`;
    }
  }

  byId("picker", HTMLFieldSetElement).disabled = false;
  return { draw };
}

/**
 * @param {HTMLSelectElement} list
 * @param {string} value
 */
function offers(list, value) {
  return [...list.options].some((option) => option.value === value);
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof Element && target.closest("input, select, textarea, [contenteditable]") !== null;
}

/** @returns {boolean} whether single keys select a range; storage may be unavailable */
function readKeys() {
  try {
    return localStorage.getItem(KEYS_OFF) !== "off";
  } catch {
    return true;
  }
}

/** @param {boolean} on */
function writeKeys(on) {
  try {
    if (on) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "off");
  } catch {
    // Without storage, the choice lasts until the page is left.
  }
}
