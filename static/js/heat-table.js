/** The table of messages by weekday and hour. */

import { byId } from "./page.js";
import { weekdayHourMeans, WEEKDAYS, weekFrom } from "./heat.js";

/**
 * @param {object} options
 * @param {import("./format.js").Format} options.format
 * @param {string} options.weekStart
 * @param {() => Promise<import("./types.js").History | null>} options.ask for the hours of what is seen
 */
export function createHeatTable({ format, weekStart, ask }) {
  const button = byId("heat-button");
  const region = byId("heat");
  let latestRequest = 0;

  button.addEventListener("click", () => {
    region.hidden = !region.hidden;
    button.setAttribute("aria-expanded", String(!region.hidden));
    void load();
  });

  async function load() {
    if (region.hidden) return;
    latestRequest += 1;
    const thisRequest = latestRequest;
    const history = await ask();
    if (thisRequest === latestRequest && history) draw(history);
  }

  /** @param {import("./types.js").History} history */
  function draw({ points, from, to }) {
    const { mean, most } = weekdayHourMeans(points, format.hourOfWeek);
    byId("heat-about").textContent = `Messages an hour on average, ${format.dates(from, to)}, ${format.dayZone}`;
    byId("heat-rows").replaceChildren(
      ...weekFrom(weekStart).map((day) => rowFor(WEEKDAYS[day] ?? "", mean[day] ?? [], most)),
    );
  }

  /**
   * @param {string} name
   * @param {(number | null)[]} hours
   * @param {number} most
   */
  function rowFor(name, hours, most) {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head, ...hours.map((n, hour) => cellFor(n, `${name} ${String(hour).padStart(2, "0")}:00`, most)));
    return row;
  }

  /**
   * @param {number | null} n
   * @param {string} when
   * @param {number} most
   */
  function cellFor(n, when, most) {
    const cell = document.createElement("td");
    const words = n === null ? "no data" : format.rate(n);
    cell.title = `${when}: ${words}`;
    const square = document.createElement("span");
    square.className = "square";
    square.setAttribute("aria-hidden", "true");
    square.style.setProperty("--share", String(n && most ? n / most : 0));
    const text = document.createElement("span");
    text.className = "visually-hidden";
    text.textContent = words;
    cell.append(square, text);
    return cell;
  }

  return {
    /** Reload the table if it is visible, because the view has changed. */
    load,
  };
}
