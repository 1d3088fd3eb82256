/** Versions of a snapshot, `term-seq`, put in order. */

/**
 * @param {string} version
 * @returns {[number, number]} term and sequence; anything unreadable sorts before all else
 */
function parse(version) {
  const match = /^(\d+)-(\d+)$/.exec(version);
  return match ? [Number(match[1]), Number(match[2])] : [-1, -1];
}

/**
 * Compare numerically, the term first.
 * @param {string} left
 * @param {string} right
 * @returns {number} below, at or above zero as `left` is older, equal or newer
 */
export function compareVersions(left, right) {
  const [leftTerm, leftSeq] = parse(left);
  const [rightTerm, rightSeq] = parse(right);
  return leftTerm - rightTerm || leftSeq - rightSeq;
}
