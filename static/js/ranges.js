/** Ranges that are not in the snapshot: asks the API for them. Loaded after the first figures were drawn. */

import { ask } from "./ask.js";
import { base } from "./base.js";
import { pictureFrom } from "./history-picture.js";
import { historyFrom } from "./history-wire.js";
import { createControls } from "./range-controls.js";
import { apiQuery, writeView } from "./view.js";

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
 * @param {boolean} [options.zoned] whether the API takes a time zone
 */
export function createRanges({ view, choose, draw, fail, wait, onExpired, since, format, url, zoned = true }) {
  const weekStart = firstDayOfWeek(navigator.language);
  const calendar = zoned ? { tz: format.dayZone, weekStart } : { weekStart };
  const controls = createControls({ choose, view, since, format, calendar, url: base + url });
  /** @type {{key: string, isOpen: boolean, version: string} | null} what is drawn */
  let drawn = null;
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
      drawn = { key, isOpen: history.isOpen, version };
      fail("");
      draw(pictureFrom(history, asked, format));
      return;
    }
    if (!answer.ok && answer.status === 401) onExpired();
    fail(answer.ok ? "The service answered in a form that this page cannot read." : answer.sentence);
  }

  return {
    /** Have the controls show the view. */
    drawControls: controls.draw,

    /** The snapshot shows the view: nothing is asked. */
    leave() {
      asking?.abort.abort();
      asking = null;
      drawn = null;
      wait(false);
      fail("");
    },

    /**
     * Ask, unless what is drawn is the view's and can not have changed.
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
