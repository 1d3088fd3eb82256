/** A delivery in words. */

/** @typedef {import("./types.js").Delivery} Delivery */
/** @typedef {import("./format.js").Format} Format */

/**
 * @param {Delivery} delivery
 * @param {Format} format
 * @returns {string} its outcome in one line
 */
export function outcomeOf({ reason, counts, rejected }, format) {
  if (reason) return reason;
  const bad = counts.find(([name]) => name === "rejected")?.[1];
  if (bad) {
    const path = rejected[0]?.path;
    return `${format.count(bad)} rejected${path ? `: ${path}` : " by the database"}`;
  }
  return listed(counts.filter(([, n]) => n), format) || "no events";
}

/**
 * @param {Delivery} delivery
 * @param {Format} format
 * @returns {[string, string][]} all its known details, by name
 */
export function detailsOf(delivery, format) {
  const rejected = delivery.rejected.map(
    ({ path, kind, account }) => `${path} (${kind}${account ? `, account ${account}` : ""})`,
  );
  /** @type {[string, string][]} */
  const all = [
    ["Size", delivery.bytes === null ? "" : `${format.count(delivery.bytes)} bytes`],
    ["Entries", delivery.entries ? format.count(delivery.entries) : ""],
    ["Events", listed(delivery.kinds, format)],
    ["Answered", listed(delivery.counts.filter(([, n]) => n), format)],
    ["Rejected", rejected.join("; ")],
    ["Duration", delivery.ms === null ? "" : `${delivery.ms} ms`],
    ["Request", delivery.requestId],
  ];
  return all.filter(([, value]) => value);
}

/**
 * @param {[string, number | null][]} numbers
 * @param {Format} format
 */
function listed(numbers, format) {
  return numbers.map(([name, n]) => `${format.count(n)} ${name}`).join(", ");
}
