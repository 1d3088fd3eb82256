"""Every operation has a deadline, and a request one for all of its operations."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from pymongo import _csot

from dmstats.core.settings import Settings
from dmstats.db.client import connect
from dmstats.web.middleware.database_deadline import (
    REFRESH_SECONDS,
    REQUEST_SECONDS,
    DatabaseDeadline,
)


@pytest.mark.parametrize(
    ("path", "seconds"),
    [
        ("/", REQUEST_SECONDS),
        ("/login", REQUEST_SECONDS),
        ("/api/admin/accounts", REQUEST_SECONDS),
        ("/api/cron/refresh-admin-stats", REFRESH_SECONDS),
    ],
)
def test_a_request_has_one_for_all(path: str, seconds: float) -> None:
    seen: list[float | None] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(_csot.get_timeout())
        return []

    DatabaseDeadline(application)({"PATH_INFO": path}, lambda *_: lambda _: None)
    assert seen == [seconds]
    assert _csot.get_timeout() is None


def test_it_is_over_after_an_error_too() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        DatabaseDeadline(application)({"PATH_INFO": "/"}, lambda *_: lambda _: None)
    assert _csot.get_timeout() is None


@pytest.mark.parametrize("options", ["", "?timeoutMS=1&socketTimeoutMS=1", "?timeoutMS=900000"])
def test_an_operation_has_ten_seconds_whatever_the_address_says(options: str) -> None:
    settings = Settings(mongodb_uri=f"mongodb://127.0.0.1:1/{options}")
    with closing(connect(settings)) as mongo:
        assert mongo.client.options.timeout == 10
        assert mongo.client.options.pool_options.socket_timeout == 10
    with closing(connect(settings, unlimited=True)) as mongo:
        assert mongo.client.options.timeout is None
        assert mongo.client.options.pool_options.socket_timeout is None
