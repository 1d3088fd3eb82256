/** How long to wait before the stream is opened again. */

const LOST = { first: 1, most: 30 };
const REFUSED = { first: 15, most: 240 };

/**
 * Doubles with each attempt and is spread over half of its length, so that the dashboards of a
 * whole team do not come back in the same moment after a deploy.
 * @param {boolean} refused the server has no free connection: wait longer
 * @param {number} attempt 0 for the first
 * @param {number} random from 0 up to 1
 * @returns {number} seconds
 */
export function retryDelay(refused, attempt, random) {
  const { first, most } = refused ? REFUSED : LOST;
  return Math.min(most, first * 2 ** Math.min(attempt, 16)) * (0.5 + random / 2);
}
