/**
 * The choice of colours: system, light or dark. It is stored in a cookie, so that the server renders the next
 * page in these colours from the start.
 */

/** @typedef {"light" | "dark" | "system"} Theme */

const COOKIE = "dmstats-theme";
const YEAR_SECONDS = 365 * 24 * 3600;
/** Sent to the document when the colours have changed. */
export const THEME_CHANGED = "themechange";

/** Wire the buttons in the footer. */
export function wireTheme() {
  const root = document.documentElement;
  for (const button of document.querySelectorAll("button[data-theme-choice]")) {
    button.addEventListener("click", () => {
      const { themeChoice } = /** @type {HTMLElement} */ (button).dataset;
      if (themeChoice === "light" || themeChoice === "dark") root.dataset.theme = themeChoice;
      else delete root.dataset.theme;
      remember(root.dataset.theme ?? "");
      draw();
      document.dispatchEvent(new Event(THEME_CHANGED));
    });
  }
  draw();
}

function draw() {
  const theme = document.documentElement.dataset.theme ?? "system";
  for (const button of document.querySelectorAll("button[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.themeChoice === theme));
  }
  const meta = document.querySelector("meta[name=color-scheme]");
  meta?.setAttribute("content", theme === "system" ? "light dark" : theme);
}

/** @param {string} theme empty: the system's */
function remember(theme) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${COOKIE}=${theme}; Path=/; Max-Age=${theme ? YEAR_SECONDS : 0}; SameSite=Lax${secure}`;
}
