/** Alert channels and rules, read and in words; pure. */

import { asList, asNumber, asObject, asTime } from "./wire/values.js";

/** @typedef {import("./types.js").AlertChannel} AlertChannel */
/** @typedef {import("./types.js").AlertRule} AlertRule */

const HOUR_MINUTES = 60;

/**
 * @param {unknown} json
 * @returns {{channels: AlertChannel[], kinds: [string, string][], timeZone: string}}
 */
export function channelsFrom(json) {
  const found = asObject(json);
  const kinds = Object.entries(asObject(found.kinds)).map(([kind, words]) => /** @type {[string, string]} */ ([kind, text(words)]));
  return { channels: asList(found.channels).map(channelFrom), kinds, timeZone: text(found.timeZone) };
}

/**
 * @param {unknown} json
 * @returns {AlertChannel}
 */
function channelFrom(json) {
  const { id, name, address, incidents, quietFrom, quietTo } = asObject(json);
  return {
    id: typeof id === "string" ? id : null,
    name: text(name),
    address: typeof address === "string" ? address : null,
    incidents: Array.isArray(incidents) ? incidents.map(text) : null,
    quietFrom: text(quietFrom),
    quietTo: text(quietTo),
  };
}

/**
 * @param {unknown} json
 * @returns {{rules: AlertRule[], figures: [string, number | null][]}}
 */
export function rulesFrom(json) {
  const found = asObject(json);
  const figures = Object.entries(asObject(found.figures)).map(([path, value]) => /** @type {[string, number | null]} */ ([path, asNumber(value)]));
  return { rules: asList(found.rules).map(ruleFrom), figures };
}

/**
 * @param {unknown} json
 * @returns {AlertRule}
 */
function ruleFrom(json) {
  const { id, figure, sense, threshold, minutes, since } = asObject(json);
  return {
    id: text(id),
    figure: text(figure),
    sense: sense === "above" || sense === "below" ? sense : "outside",
    threshold: asNumber(threshold),
    minutes: asNumber(minutes) ?? 0,
    since: asTime(since),
  };
}

/**
 * @param {AlertChannel} channel
 * @param {[string, string][]} kinds
 * @returns {string} the incidents that it is notified of, and its quiet hours
 */
export function toldOf({ incidents, quietFrom, quietTo }, kinds) {
  const names = incidents?.map((kind) => kinds.find(([each]) => each === kind)?.[1] ?? kind);
  const quiet = quietFrom && quietTo ? `; quiet from ${quietFrom} to ${quietTo}` : "";
  return `${names ? names.join(", ") : "All incidents"}${quiet}`;
}

/**
 * @param {AlertRule} rule
 * @returns {string} when its incident begins
 */
export function ruleWords({ figure, sense, threshold, minutes }) {
  if (sense === "outside") {
    const hours = Math.max(1, Math.floor(minutes / HOUR_MINUTES));
    return `${figure} DMs of ${hours === 1 ? "a full hour" : `${hours} full hours`} are outside the expected range`;
  }
  const lasting = minutes ? ` for ${minutes} minutes` : "";
  return `${figure} is ${sense} ${threshold ?? "an unknown threshold"}${lasting}`;
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : "";
}
