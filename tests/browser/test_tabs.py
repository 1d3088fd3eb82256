"""The tabs that the tests have one after another: no test finds what another has changed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Profile
from tests.browser.fake_site import FakeSite

STATE = """async () => [
  innerWidth, innerHeight, navigator.onLine, document.cookie, localStorage.length,
  matchMedia("(prefers-color-scheme: dark)").matches, matchMedia("(forced-colors: active)").matches,
  matchMedia("(prefers-reduced-motion)").matches, document.title,
  (await navigator.permissions.query({ name: "clipboard-read" })).state,
]"""


def state(page: Page, site: FakeSite) -> list[Any]:
    """What a test finds in a new document; the clock to the minute."""
    page.goto(f"{site.url}/accounts")
    ahead = page.evaluate("Date.now()") / 1000 - time.time()
    return [*page.evaluate(STATE), round(ahead / 60), len(page.context.pages)]


@pytest.mark.parametrize("which", ["lasting_tab", "lasting_other_tab"])
def test_it_works(request: pytest.FixtureRequest, site: FakeSite, which: str) -> None:
    profile: Profile = request.getfixturevalue(which)
    with profile.lent() as page:
        before = state(page, site)
    with profile.lent() as page:
        page.set_viewport_size({"width": 320, "height": 320})
        page.emulate_media(color_scheme="dark", forced_colors="active")
        page.context.grant_permissions(["clipboard-read"])
        page.context.add_cookies([{"name": "dmstats-theme", "value": "dark", "url": site.url}])
        page.goto(f"{site.url}/accounts")
        page.evaluate("localStorage.kept = 1")
        page.context.new_page()
        page.route("**/accounts", lambda route: route.fulfill(body="<title>Not this</title>"))
        if profile.clock:
            page.clock.fast_forward("03:00:00")
        changed = state(page, site)
        page.context.set_offline(True)
        assert not page.evaluate("navigator.onLine")
    # All but the connection, which is cut after it, and the motion.
    kept = [i for i, (one, other) in enumerate(zip(before, changed, strict=True)) if one == other]
    assert kept == [2, 7] + ([] if profile.clock else [10])
    with profile.lent() as page:
        assert state(page, site) == before
