/** The kinds of other events, each with a short explanation. */

/** @typedef {{name: string, text: string, title?: string, about?: string}} Fact */
/** @typedef {import("./format.js").Format} Format */

/** @type {Map<string, {name: string, about: string}>} */
const EVENTS = new Map([
  ["unsent", { name: "Unsent", about: "Messages that their sender deleted. They stay counted." }],
  ["reaction", { name: "Reactions", about: "Emoji reactions to a message." }],
  ["seen", { name: "Seen", about: "Read receipts." }],
  ["postback", { name: "Postbacks", about: "Taps on a button or an ice breaker in a conversation." }],
  ["referral", { name: "Referrals", about: "Conversations that were started from a link or an ad." }],
  ["edit", { name: "Edits", about: "Messages that were edited after they were sent." }],
  ["unknown", { name: "Unknown", about: "Events of a kind that this version does not know." }],
]);

/**
 * @param {import("./types.js").Snapshot["events"]} events
 * @param {Format} format
 * @returns {Fact[]} what else was counted, most first
 */
export function otherEvents(events, format) {
  return events
    .filter(({ n }) => n === null || n > 0)
    .sort((a, b) => (b.n ?? 0) - (a.n ?? 0))
    .map(({ kind, n }) => {
      const known = EVENTS.get(kind);
      const name = known?.name ?? (kind || "unnamed");
      return { name, text: format.brief(n), title: format.count(n), about: known?.about };
    });
}
