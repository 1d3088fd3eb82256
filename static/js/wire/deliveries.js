/** Reads the API's deliveries and event names into typed values. */

import { asCounts, asLabel, asList, asNumber, asObject, asText, asTime } from "./values.js";

/** @typedef {import("../types.js").Delivery} Delivery */
/** @typedef {import("../types.js").EventName} EventName */

/** @param {unknown} json @returns {Delivery} */
function deliveryFrom(json) {
  const delivery = asObject(json);
  return {
    group: asText(delivery.group) ?? "",
    at: asTime(delivery.at),
    status: asNumber(delivery.status),
    reason: asLabel(delivery.reason),
    bytes: asNumber(delivery.bytes),
    entries: asNumber(delivery.entries),
    kinds: asCounts(delivery.kinds),
    counts: asCounts(delivery.counts),
    ms: asNumber(delivery.ms),
    requestId: asLabel(delivery.requestId) ?? "",
    rejected: asList(delivery.rejected).map((each) => {
      const { path, kind, account } = asObject(each);
      return { path: asLabel(path) ?? "", kind: asLabel(kind) ?? "", account: asLabel(account) };
    }),
  };
}

/**
 * @param {unknown} json
 * @returns {{deliveries: Delivery[], names: EventName[]}}
 */
export function deliveriesFrom(json) {
  const answer = asObject(json);
  return {
    deliveries: asList(answer.deliveries).map(deliveryFrom),
    names: asList(answer.names).map((each) => {
      const name = asObject(each);
      return {
        name: asLabel(name.name) || "unnamed",
        counted: name.counted === true,
        firstAt: asTime(name.firstAt),
        lastAt: asTime(name.lastAt),
        keys: asList(name.keys).map((key) => asLabel(key) ?? ""),
      };
    }),
  };
}
