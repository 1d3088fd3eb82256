/** Buttons that copy the text beside them. */

/** @param {ParentNode} page */
export function wireCopy(page) {
  for (const button of page.querySelectorAll("button[data-copy]")) {
    const source = document.getElementById(/** @type {HTMLElement} */ (button).dataset.copy ?? "");
    const label = button.querySelector("span");
    if (!source || !label) continue;
    const words = label.textContent;
    button.addEventListener("click", async () => {
      label.textContent = (await copy(source)) ? "Copied" : "Press Ctrl+C";
      setTimeout(() => {
        label.textContent = words;
      }, 2000);
    });
  }
}

/**
 * Over plain HTTP, browsers deny scripts the clipboard; the text is then selected for the reader.
 * @param {HTMLElement} source
 * @returns {Promise<boolean>} whether it is in the clipboard
 */
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent?.trim() ?? "");
    return true;
  } catch {
    // Absent, or refused: the reader can copy the selection.
    getSelection()?.selectAllChildren(source);
    return false;
  }
}
