"""axe-core, run on a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
# Only lines: all that axe finds is longer than the page.
RUN = """async () => {
  const { violations } = await axe.run(document, {
    resultTypes: ["violations"],
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 120)} ${failureSummary}`));
}"""


@cache
def _source() -> str:
    return AXE.read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """What axe-core finds, one line each."""
    # A target that the edge of the window or the header covers in part is too small for axe.
    if not page.evaluate("(scrollTo(0, 0), 'axe' in window)"):
        # By the debugger, not a script element: the page's policy would rightly refuse that.
        page.evaluate(_source())
    found: list[str] = page.evaluate(RUN)
    return found
