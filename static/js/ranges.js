/** Ranges that are not in the snapshot: asks the API for them. Loaded after the first figures were drawn. */

import { ask } from "./ask.js";
import { base } from "./base.js";
import { lastDays } from "./heat.js";
import { createHeatTable } from "./heat-table.js";
import { pictureFrom } from "./history-picture.js";
import { historyFrom } from "./wire/history.js";
import { createControls } from "./range-controls.js";
import { apiQuery, RANGES, writeView } from "./view.js";

/** @typedef {import("./types.js").View} View */

const WEEK_STARTS = /** @type {Record<number, string>} */ ({ 1: "monday", 6: "saturday", 7: "sunday" });

/**
 * @param {object} options
 * @param {() => View} options.view
 * @param {(change: Partial<View>) => void} options.choose
 * @param {(picture: import("./types.js").Picture) => void} options.draw
 * @param {(sentence: string) => void} options.fail an empty sentence: it works
 * @param {(busy: boolean) => void} options.wait
 * @param {() => void} options.onExpired
 * @param {() => number | null} options.since
 * @param {import("./format.js").Format} options.format
 * @param {string} options.url
 * @param {"all" | "account"} [options.scope] of one account the days are UTC's: its history takes no time zone
 */
export function createRanges({ view, choose, draw, fail, wait, onExpired, since, format, url, scope = "all" }) {
  const weekStart = firstDayOfWeek(navigator.language);
  /** @type {{tz?: string, weekStart: string}} */
  const calendar = scope === "all" ? { tz: format.dayZone, weekStart } : { weekStart };
  const controls = createControls({ choose, view, since, format, calendar, url: base + url });
  const heat = createHeatTable({ format, weekStart, ask: askHours });
  /** @type {{key: string, isOpen: boolean, version: string, from: string, to: string} | null} what is drawn */
  let drawn = null;
  let heated = "";
  /** @type {{key: string, abort: AbortController} | null} */
  let asking = null;

  /**
   * @param {string} key
   * @param {string} version
   */
  async function load(key, version) {
    asking?.abort.abort();
    const mine = { key, abort: new AbortController() };
    asking = mine;
    const asked = view();
    if (drawn?.key !== key) wait(true);
    const query = apiQuery(asked, calendar);
    const answer = await ask(`${url}?${query}`, { signal: mine.abort.signal });
    if (asking !== mine) return;
    asking = null;
    wait(false);
    const history = answer.ok ? historyFrom(answer.data) : null;
    if (history) {
      drawn = { key, isOpen: history.isOpen, version, from: history.from, to: history.to };
      fail("");
      draw(pictureFrom(history, asked, format, scope));
      reheat();
      return;
    }
    if (!answer.ok && answer.status === 401) onExpired();
    fail(answer.ok ? "The page could not read the service's answer." : answer.sentence);
  }

  /** @returns {Promise<import("./types.js").History | null>} the hours of the view, of a long one the last 31 days */
  async function askHours() {
    const { range } = view();
    const days = range === "custom" ? Infinity : RANGES[range].days;
    const asked = apiQuery({ ...view(), unit: "hour", compare: "none" }, calendar);
    if (days > 31 && drawn) {
      asked.delete("range");
      asked.set("from", lastDays(drawn.from, drawn.to));
      asked.set("to", drawn.to);
    }
    const answer = await ask(`${url}?${asked}`);
    return answer.ok ? historyFrom(answer.data) : null;
  }

  /** The table by weekday and hour follows the view; it is not reloaded as the last hour grows. */
  function reheat() {
    const { range, from, to } = view();
    const key = [range, from, to].join();
    if (key === heated) return;
    heated = key;
    void heat.load();
  }

  return {
    /** Update the controls to the view. */
    drawControls: controls.draw,

    /** The snapshot covers the view: no request is needed. */
    leave() {
      asking?.abort.abort();
      asking = null;
      drawn = null;
      wait(false);
      fail("");
      reheat();
    },

    /**
     * Request the view's history, unless it is already drawn and cannot have changed.
     * @param {string} version of the newest snapshot: with a newer one an open range has grown
     */
    show(version) {
      const key = writeView(view());
      if (asking?.key === key) return;
      if (drawn?.key === key && (!drawn.isOpen || drawn.version === version)) return;
      void load(key, version);
    },
  };
}

/**
 * @param {string} language
 * @returns {string} as the API names it; Monday where it is unknown
 */
export function firstDayOfWeek(language) {
  try {
    const locale = /** @type {any} */ (new Intl.Locale(language));
    return WEEK_STARTS[(locale.getWeekInfo?.() ?? locale.weekInfo)?.firstDay] ?? "monday";
  } catch {
    return "monday";
  }
}
