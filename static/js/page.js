/** The page's parts, by id. */

/**
 * @overload
 * @param {string} id
 * @returns {HTMLElement}
 */
/**
 * @template {HTMLElement} T
 * @overload
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
/**
 * @param {string} id
 * @param {new () => HTMLElement} kind
 * @returns {HTMLElement} the element, which must exist and be of that kind
 */
export function byId(id, kind = HTMLElement) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`The page has no ${kind.name} #${id}`);
  return element;
}

/**
 * Enable the page's forms once their listeners are attached. Until then they are `inert`: a form submitted earlier
 * would put its values, including passwords, into the address.
 */
export function enableForms() {
  for (const form of document.querySelectorAll("form[inert]")) /** @type {HTMLFormElement} */ (form).inert = false;
}

/** @returns {Parameters<typeof import("./chart.js").createChart>[0]} the chart's box and the line above it */
export function chartParts() {
  return { box: byId("chart"), when: byId("when"), sent: byId("read-sent"), received: byId("read-received"), pace: byId("read-pace") };
}
