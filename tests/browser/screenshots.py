"""Makes the pictures of the README and the docs: ``python -m tests.browser.screenshots``.

A real service counts a month of signed webhooks, made up but sent as Meta sends them; Chromium
looks at it. Takes about two minutes.

With ``--every`` it takes every page instead, with made-up figures of 0 to 12 digits, at five
widths, in light and dark: some 500 pictures to look at after a change of the layout.
"""

from __future__ import annotations

import argparse
import http
import itertools
import math
import random
import tempfile
import time
import urllib.error
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize
from pymongo import MongoClient

from tests.browser.chromium import chromium
from tests.browser.conftest import expect_mode, serving, sign_in
from tests.browser.every_page import EACH, VIEWS, EveryPage, opened
from tests.browser.fake_site import started
from tests.browser.service import ROOT, Service
from tests.browser.test_layout import MAIN_WIDTHS
from tests.servers import Redis, Secantus, running

IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 200_000
DAYS = 30
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
WIDE: ViewportSize = {"width": 1280, "height": 820}
NARROW: ViewportSize = {"width": 390, "height": 844}
# What the host platform knows of an account: its name, and its monthly limit.
ACCOUNTS = [
    ("lumen.studio", 9000), ("northbeach.coffee", 5400), ("velo_atelier", 5000),
    ("marta.bakes", 5000), ("the.paper.goods", None), ("kinoclub", 2100), ("saltandrye", 2500),
    ("atlas.fitness", 2000), ("green.corner.shop", None), ("harbour.books", 1000),
    ("studio.nord", 1000), ("little.kiln", None),
]  # fmt: skip
SCHEMES: tuple[Literal["dark", "light"], ...] = ("light", "dark")
PER_DAY = 5000
MAX_PER_POST = 400
TRIES = 20


def main() -> None:
    """Make every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="folder of the pictures")
    parser.add_argument("--every", action="store_true", help="every page; needs --into")
    told = parser.parse_args()
    if told.every and not told.into:
        parser.error("--every needs --into: its pictures are not for the docs")
    into = told.into or IMAGES
    into.mkdir(parents=True, exist_ok=True)
    if told.every:
        take_every_page(into)
        return
    with (
        tempfile.TemporaryDirectory() as name,
        running(Secantus(Path(name) / "mongodb")) as database,
        running(Redis(Path(name) / "redis")) as cache,
        chromium() as browser,
    ):
        service = Service(
            Path(name) / "service",
            mongodb_uri=database.uri,
            redis_url=cache.url,
            MONGODB_DB="pictures",
            LEDGER_RETENTION_HOURS=str(24 * (DAYS + 1)),
            STATS_REFRESHER="off",
            STATS_REFRESH_INTERVAL="30",
            STATS_MIN_PUBLISH_INTERVAL="1",
        )
        with serving(service):
            take(browser, service, into, "empty")
            feed(service)
            with MongoClient[dict[str, Any]](database.uri) as client:
                name_accounts(client)
            service.audit()
            service.refresh()
            take(browser, service, into, "dashboard", path="/?range=24h")
            take(
                browser,
                service,
                into,
                "dashboard-dark",
                path="/?range=7d&unit=hour&compare=previous",
                scheme="dark",
            )
            take(browser, service, into, "dashboard-phone", path="/?range=24h", viewport=NARROW)
            take(browser, service, into, "accounts", path="/accounts")
            take(browser, service, into, "account", path="/accounts/17841400000000001")
            take(browser, service, into, "admins", path="/admins", scheme="dark")
            take(browser, service, into, "sign-in", path="/login", signed_in=False)
            take(
                browser,
                service,
                into,
                "dashboard-stale",
                path="/?range=24h",
                mode="stale",
                seconds=60,
            )


def take_every_page(into: Path) -> None:
    """``<page>-<digits>-<width>-<scheme>.png`` of each page."""
    with chromium() as browser, started(EveryPage()) as site:
        context = browser.new_context(locale="en-GB", timezone_id="Europe/Berlin")
        page = context.new_page()
        for digits in EACH:
            site.fill(digits)
            for name, view in VIEWS.items():
                if digits not in view.digits:
                    continue
                opened(page, site, view)
                for width, scheme in itertools.product(MAIN_WIDTHS, SCHEMES):
                    page.set_viewport_size({"width": width, "height": 900})
                    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                    page.wait_for_timeout(100)
                    target = into / f"{name.replace(', ', '-')}-{digits}-{width}-{scheme}.png"
                    page.screenshot(path=target, full_page=True)


def feed(service: Service) -> None:
    """A month of DMs, busy by day and calm at night, the last hour minute by minute."""
    chance = random.Random(7)
    now = int(time.time() * 1000)
    hour = now - now % HOUR_MS
    for index in range(len(ACCOUNTS)):
        share = 0.74**index / sum(0.74**i for i in range(len(ACCOUNTS)))
        times: list[int] = []
        for back in range(24 * DAYS):
            start = hour - back * HOUR_MS
            length = min(HOUR_MS, now - start)
            rate = PER_DAY / 24 * share * busyness(start) * (1 - back / 24 / DAYS / 4)
            count = round(rate * length / HOUR_MS * busier_days(start) + chance.random() - 0.5)
            times += [start + round(chance.random() * length) for _ in range(max(0, count))]
        account = f"1784140000000{index + 1:04d}"
        times.sort()
        for first in range(0, len(times), MAX_PER_POST):
            some = times[first : first + MAX_PER_POST]
            sent = round(len(some) * 0.58)
            deliver(service, sent, len(some) - sent, account, some)


def deliver(service: Service, sent: int, received: int, account: str, times: list[int]) -> None:
    """Again, where a busy machine did not take it in time; with new ids: a picture is not exact."""
    for _ in range(TRIES):
        try:
            service.send(sent, received, account=account, times=times)
        except urllib.error.HTTPError as refused:
            if refused.code != http.HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            time.sleep(1)
        else:
            return
    raise TimeoutError("the service takes nothing")


def busyness(at: int) -> float:
    """How much is written at that hour, around 1."""
    hour, weekday = at // HOUR_MS % 24, (at // DAY_MS + 3) % 7
    by_hour = 1 + 0.6 * math.sin((hour - 9) / 24 * 2 * math.pi)
    return by_hour * (0.75 if weekday > 4 else 1.0)


def busier_days(at: int) -> float:
    """No two days are alike: from 0.8 to 1.2, the same at every run."""
    return random.Random(at // DAY_MS).uniform(0.8, 1.2)


def name_accounts(client: MongoClient[dict[str, object]]) -> None:
    """What a host platform writes into the accounts that it shares."""
    accounts = client["pictures"]["instagram_accounts"]
    for index, (name, limit) in enumerate(ACCOUNTS):
        since = datetime.now(UTC) - timedelta(days=400 - 20 * index)
        fields: dict[str, object] = {"username": name, "createdAt": since}
        if limit:
            fields["monthlyDmLimit"] = limit * 3
        accounts.update_one({"instagramId": f"1784140000000{index + 1:04d}"}, {"$set": fields})
    users: list[dict[str, Any]] = [{"createdAt": None} for _ in range(17)]
    client["pictures"]["users"].insert_many(users)


def take(
    browser: Browser,
    service: Service,
    into: Path,
    name: str,
    *,
    path: str = "/",
    scheme: Literal["dark", "light"] = "light",
    viewport: ViewportSize | None = None,
    mode: str = "live",
    seconds: float = 20,
    signed_in: bool = True,
) -> None:
    """One picture."""
    context: BrowserContext = browser.new_context(
        viewport=viewport or WIDE,
        color_scheme=scheme,
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
    )
    if signed_in:
        sign_in(context, service)
    if mode == "live":
        service.refresh()
    page: Page = context.new_page()
    page.goto(service.url + path)
    if path.split("?", maxsplit=1)[0] == "/":
        expect_mode(page, mode, seconds=seconds)
    page.wait_for_timeout(1000)
    target = into / f"{name}.png"
    page.screenshot(path=target)
    context.close()
    size = target.stat().st_size
    print(f"{target} {size:,} bytes")  # noqa: T201
    assert size <= MAX_BYTES, f"{target} is over {MAX_BYTES:,} bytes"


if __name__ == "__main__":
    main()
