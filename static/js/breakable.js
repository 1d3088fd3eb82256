/** Addresses of people and machines, which have no spaces. */

/**
 * @param {string} text
 * @returns {(string | HTMLElement)[]} with a place to break the line after each `@`, dot, colon and slash, as in templates
 */
export function breakable(text) {
  return text.split(/(?<=[@.:/])/).flatMap((part, i) => (i ? [document.createElement("wbr"), part] : [part]));
}
