"""One running service that the tests which only look at it share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.test_launcher import Started

TOKEN = "api-token-of-the-running-service"


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """`python -m dmstats` with two workers and an API token."""
    started = Started(tmp_path_factory.mktemp("house"), WEB_CONCURRENCY="2", ADMIN_API_TOKEN=TOKEN)
    started.start()
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()
        assert not started.left()
