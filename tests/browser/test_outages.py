"""The page while Redis, the service or the database is gone, and once it is back."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis
from playwright.sync_api import Page, expect

from dmstats.ops.delivery_log import KEY, Record
from tests.browser.axe import violations
from tests.browser.conftest import (
    QUICK,
    eventually,
    expect_mode,
    figure,
    open_dashboard,
    serving,
    sign_in,
    skip_to_mode,
)
from tests.browser.service import Service
from tests.keyspace import key_of
from tests.servers import Redis, Secantus, running

pytestmark = pytest.mark.slow(45)

Breakable = tuple[Service, Redis, Secantus]


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Breakable]:
    """A service, its Redis and its database, which a test may stop if it starts them again."""
    folder = tmp_path_factory.mktemp("breakable")
    with (
        running(Redis(folder / "redis")) as cache,
        running(Secantus(folder / "database")) as database,
    ):
        uris = {"mongodb_uri": database.uri, "redis_url": cache.url}
        with serving(Service(folder / "service", **uris, **QUICK)) as service:
            service.send(5, 3)
            service.refresh()
            yield service, cache, database


def test_redis_gone_and_back(other_tab: Page, breakable: Breakable) -> None:
    service, redis_server, _ = breakable
    page = other_tab
    sign_in(page.context, service)
    open_dashboard(page, service)
    redis_server.kill()
    expect_mode(page, "polling", seconds=30)
    expect(page.locator("#sentence")).to_contain_text("No live stream")
    before = figure(page, "total.sent")
    service.send(4)
    service.refresh()
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 4:,}")
    redis_server.start()
    skip_to_mode(page, "live")


def test_the_service_gone_and_back(other_tab: Page, breakable: Breakable) -> None:
    service, _, _ = breakable
    page = other_tab
    sign_in(page.context, service)
    open_dashboard(page, service)
    before = figure(page, "total.sent")
    service.stop()
    expect_mode(page, "offline", seconds=30)
    expect(page.locator("#sentence")).to_contain_text("The service does not answer")
    expect(page).to_have_title("Offline · dmstats")
    assert figure(page, "total.sent") == before
    service.start()
    skip_to_mode(page, "live")
    expect(page).to_have_title("dmstats")


def test_failing_deliveries_are_shown_with_a_countdown(
    other_tab: Page, breakable: Breakable
) -> None:
    service, redis_server, database = breakable
    page = other_tab
    sign_in(page.context, service)
    open_dashboard(page, service)
    notice = page.locator("#trouble")
    expect(notice).to_be_hidden()
    database.kill()
    with pytest.raises(urllib.error.HTTPError, match="503"):
        service.send(1, tries=1)
    with redis.Redis.from_url(redis_server.url) as client:
        key = key_of(client, KEY)
        eventually(page, lambda: failing(client, key) is not None)
        record = failing(client, key)
        assert record
        # A failure is told once it lasts: nothing was acknowledged for 20 minutes, instead of a
        # minute's wait.
        since = record.failing_since - 20 * 60_000
        lasting = Record(failed=record.failed, failing_since=since)
        client.delete(key)
        client.hset(key, "another", msgspec.json.encode(lasting))
    expect(notice).to_contain_text("Meta may disable the webhook in", timeout=30_000)
    expect(notice).to_have_attribute("data-level", "bad")
    first = notice.inner_text()
    expect(notice).not_to_have_text(first)
    assert violations(page) == []
    database.start()
    eventually(page, lambda: delivered(service), seconds=60)
    expect(notice).to_be_hidden(timeout=30_000)


def failing(client: redis.Redis, key: str) -> Record | None:
    """The record of the worker whose last delivery has failed."""
    values: Any = client.hvals(key)
    records = (msgspec.json.decode(each, type=Record) for each in values)
    return next((each for each in records if each.failed > each.acknowledged), None)


def delivered(service: Service) -> bool:
    """Try as Meta does: whether the service takes a DM again."""
    try:
        service.send(1)
    except OSError:
        return False
    return True
