"""Three ways to bring a snapshot to many dashboards: ours, stock flask-sse, nginx with nchan."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import redis

from benchmarks.contestants import TOKEN, gunicorn_peer, ours
from benchmarks.databases import Databases
from benchmarks.programs import ROOT, Program, Web, listens
from dmstats.core.clock import SystemClock
from dmstats.core.constants import CHANNEL
from dmstats.core.keyspace import Keyspace
from dmstats.core.settings import Settings
from dmstats.db.client import connect
from dmstats.db.installation import Installation
from dmstats.snapshot.build import build
from dmstats.snapshot.publisher import CACHE_KEY
from tests.readings import readings_of

BEARER = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/event-stream, application/json"}
NCHAN_CONFIG = ROOT / "benchmarks" / "peers" / "nchan.conf"
NCHAN_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_nchan_module.so"),
)
STOCK = "benchmarks.peers.stock_sse:app"
NO_NCHAN = "nginx with nchan is not installed here: apt-get install libnginx-mod-nchan"

CACHE_SECONDS = 60

_newest = iter(range(1, 10**9))


class Stage(msgspec.Struct):
    """A running server of streams at ``path``; ``publish`` sends one snapshot to all of them."""

    port: int
    path: str
    program: Program
    publish: Callable[[str], None]


Open = Callable[[Databases, str], contextlib.AbstractContextManager[Stage]]


def snapshot(mark: str, installation: str = "") -> tuple[str, str]:
    """A snapshot of the usual size that says ``mark``, newer than all before, and its version."""
    version = f"1000000-{next(_newest)}"
    told = {
        **build(readings_of(), time.time_ns() // 1_000_000),
        "refresh": {"computeMs": 0.0, "dbQueries": 0},
        "version": version,
        "installation": installation,
        "mark": mark,
    }
    return json.dumps(told), version


@contextlib.contextmanager
def dmstats(databases: Databases, database: str, *, workers: int = 1) -> Iterator[Stage]:
    """Ours: one subscription per worker."""
    with (
        # Without a leader: a refresh under a newer term would outdate all that is published here.
        ours(databases, database, workers=workers, extra={"STATS_REFRESHER": "off"}) as web,
        redis.Redis.from_url(databases.redis_url) as client,
    ):
        publish = _by_redis(client, CHANNEL, keys=_keyspace(databases, database))
        yield Stage(web.port, "/api/admin/stats/stream", web.program, publish)


@contextlib.contextmanager
def stock(databases: Databases, database: str) -> Iterator[Stage]:
    """flask-sse as it comes, under the same gunicorn and gevent."""
    with (
        gunicorn_peer(databases, database, STOCK) as web,
        redis.Redis.from_url(databases.redis_url) as client,
    ):
        yield Stage(web.port, "/stream", web.program, _by_redis(client, "sse"))


@contextlib.contextmanager
def nchan(databases: Databases, database: str) -> Iterator[Stage]:  # noqa: ARG001 - as the others
    """nginx with nchan: C all through; what comes next to nothing in front of the sockets."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    module = next((path for path in NCHAN_MODULES if path.exists()), None)
    if program is None or module is None:
        raise RuntimeError(NO_NCHAN)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"

        def command(port: int) -> list[str]:
            text = NCHAN_CONFIG.read_text(encoding="utf-8")
            told = {"@module@": str(module), "@folder@": folder, "@port@": str(port)}
            for name, value in told.items():
                text = text.replace(name, value)
            config.write_text(text, encoding="utf-8")
            return [program, "-c", str(config), "-p", folder]

        with Web(command, {}, listens) as web, _posting(web.port) as publish:
            yield Stage(web.port, "/stream", web.program, publish)


def _keyspace(databases: Databases, database: str) -> Keyspace:
    mongo = connect(Settings(mongodb_db=database), uri=databases.uri)
    with contextlib.closing(mongo):
        name = Installation(mongo).name()
    return Keyspace(lambda: name, SystemClock())


def _by_redis(
    client: redis.Redis, channel: str, *, keys: Keyspace | None = None
) -> Callable[[str], None]:
    """Publishes in flask-sse's format; ours caches first, for workers that are just connecting."""
    channel = keys.key(channel) if keys else channel

    def publish(mark: str) -> None:
        body, version = snapshot(mark, keys.installation if keys else "")
        if keys:
            client.set(keys.key(CACHE_KEY), body, ex=CACHE_SECONDS)
        client.publish(channel, f'{{"data": {body}, "type": "stats", "id": "{version}"}}')

    return publish


@contextlib.contextmanager
def _posting(port: int) -> Iterator[Callable[[str], None]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def publish(mark: str) -> None:
        connection.request("POST", "/publish", snapshot(mark)[0], {"X-EventSource-Event": "stats"})
        connection.getresponse().read()

    try:
        yield publish
    finally:
        connection.close()


STAGES: dict[str, Open] = {"dmstats": dmstats, "stock flask-sse": stock, "nginx with nchan": nchan}
