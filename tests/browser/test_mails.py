"""The HTML parts of the mails, as a phone and a computer show them, light and dark."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from dmstats.ops.mail_page import mail_page
from dmstats.web.auth.link_mail import link_mail
from tests.browser.axe import violations
from tests.browser.conftest import Scheme, drawn, looked_at

ADDRESS = "https://stats.example.com/dmstats/password?link=" + "Ab3_" * 17
MAILS = {
    "invitation": link_mail("a@b.c", ADDRESS, "2026-11-28T12:34:56.000Z", invited=True).html,
    "reset": link_mail("a@b.c", ADDRESS, "2026-11-28T12:34:56.000Z", invited=False).html,
    "alert": mail_page("dmstats: drift", f"12 differ: {ADDRESS}", small=("2026-11-28 12:34 UTC",)),
}


LOOKS: list[tuple[int, Scheme]] = [(390, "light"), (390, "dark"), (700, "light"), (700, "dark")]


@pytest.mark.parametrize("name", MAILS)
def test_it_fits_and_can_be_read(tab: Page, name: str) -> None:
    tab.set_content(MAILS[name])
    for look in LOOKS:
        width, scheme = look
        drawn(looked_at(tab, width, scheme))
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, look
        dark = tab.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
        assert (dark == "rgb(39, 39, 42)") == (scheme == "dark"), look
        assert violations(tab) == [], look
