/** The server's settings, as the page's data attributes carry them. */

import { base } from "./base.js";

/** @typedef {import("./types.js").PageSettings} PageSettings */

/**
 * @param {Record<string, string | undefined>} data
 * @returns {PageSettings}
 */
export function readSettings(data) {
  return {
    debounce: seconds(data, "debounce", 5),
    poll: seconds(data, "poll", 30),
    refresh: seconds(data, "refresh", 60),
    heartbeat: seconds(data, "heartbeat", 15),
    timeZone: known(data.timeZone) ? data.timeZone : "UTC",
    statsUrl: data.statsUrl ?? "/api/admin/stats",
    streamUrl: data.streamUrl ?? `${base}/api/admin/stats/stream`,
    refreshUrl: data.refreshUrl ?? "/api/admin/stats/refresh",
    trafficUrl: data.trafficUrl ?? "/api/admin/traffic",
    historyUrl: data.historyUrl ?? "/api/admin/history",
  };
}

/**
 * @param {string | undefined} timeZone
 * @returns {timeZone is string} whether this browser can show times in it
 */
function known(timeZone) {
  try {
    return Boolean(timeZone && new Intl.DateTimeFormat("en", { timeZone }));
  } catch {
    return false;
  }
}

/**
 * @param {Record<string, string | undefined>} data
 * @param {string} name
 * @param {number} usual
 */
function seconds(data, name, usual) {
  const value = Number.parseFloat(data[name] ?? "");
  return Number.isFinite(value) && value >= 0 ? value : usual;
}
