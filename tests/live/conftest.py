"""One running service that the tests which only look at it share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.launched import Started
from tests.servers import free_port

TOKEN = "api-token-of-the-running-service"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """`python -m dmstats` with two workers, an API token and a canary."""
    port = str(free_port())
    started = Started(
        tmp_path_factory.mktemp("service"),
        PORT=port,
        WEB_CONCURRENCY="2",
        ADMIN_API_TOKEN=TOKEN,
        STATS_MIN_PUBLISH_INTERVAL="1",
        DMSTATS_CANARY_URL=f"http://127.0.0.1:{port}",
    )
    started.start()
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()
        assert not started.left()
