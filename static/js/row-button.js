/**
 * A small button in a row of a list.
 * @param {string} words
 * @param {string} label the accessible name: the words, and what they are about
 * @param {() => void} onClick
 */
export function rowButton(words, label, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small";
  button.textContent = words;
  button.setAttribute("aria-label", label);
  button.addEventListener("click", onClick);
  return button;
}
