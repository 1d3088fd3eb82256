"""The all-in-one start, step by step: databases, secrets, migrations, first admin, web server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import partial

import migrations
from dmstats.core import plain_http
from dmstats.core.clock import Clock
from dmstats.core.command_line import SIMULATE, command_line
from dmstats.core.errors import ConfigError, DmstatsError, StoreUnavailable, plain_reason
from dmstats.core.settings import Settings
from dmstats.core.stopping import Stop
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.passwords import generated
from dmstats.db.client import Mongo, connect, translated
from dmstats.db.outage import explain
from dmstats.embedded import secrets, servers, webserver
from dmstats.embedded.child import Child, Program
from dmstats.embedded.datadir import DataDir, Service
from dmstats.embedded.supervisor import Stopping, Supervisor

FIRST_ADMIN = "admin@localhost"
DATABASE_READY_SECONDS = 60.0
WEB_READY_SECONDS = 60.0
DATABASE_STARTS = 3
"""The number of attempts to start a database before the launcher gives up."""

PORT_RELEASE_SECONDS = 10.0
"""How long a web server may take to release its port after its launcher was killed: slightly longer
than gunicorn's graceful timeout."""


class Launcher:
    """One run of the service; ``stop`` ends it."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Clock,
        stop: Stop,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self._stop = stop
        self._say = say
        self._data = DataDir(settings.data_dir)
        self._supervisor = Supervisor(clock, stop, say)
        self._embedded: dict[str, str] = {}
        self._base_url = webserver.base_url(settings)
        self._password: str | None = None

    def run(self) -> None:
        """Serve until a stop is requested; raises :class:`DmstatsError` with a one-line message."""
        with self._data.locked(), suppress(Stopping):
            self._check_port()
            secrets.make_missing(self._environ, self._data.secrets)
            self._announce()
            try:
                self._check_redis()
                self._prepare(self._start_databases())
                try:
                    self._serve()
                finally:
                    # Always: the next start does not create another admin.
                    self._print_password()
                self._say(f"running at {self._base_url} (Ctrl-C to stop)")
                self._supervisor.run()
            finally:
                self._supervisor.stop_all()
                shutil.rmtree(self._data.metrics, ignore_errors=True)
                self._data.withdraw()

    def _check_port(self) -> None:
        host, port = self._settings.host, self._settings.port
        seconds = PORT_RELEASE_SECONDS if self._data.has_stale_note() else 0.0
        try:
            free = self._supervisor.until(lambda: servers.is_free(host, port), seconds)
        except OSError as error:
            raise ConfigError(f"HOST={host}, PORT={port}: {error.strerror}") from error
        if not free:
            raise ConfigError(
                f"port {port} on {host} is taken by another program: "
                "stop that one, or set PORT to a free port"
            )

    def _announce(self) -> None:
        service = Service(
            pid=os.getpid(),
            mongodb_uri=self._embedded.get("MONGODB_URI"),
            redis_url=self._embedded.get("REDIS_URL"),
            base_url=self._base_url,
        )
        self._data.announce(service)

    def _start_databases(self) -> Mongo:
        """Start the databases that are not configured; returns the connection to MongoDB."""
        data, logs = self._data.path, self._data.logs
        environ = {
            name: value for name, value in self._environ.items() if name not in _setting_names()
        }
        if not self._settings.redis_url:
            make = partial(servers.redis_server, data / "redis", logs / "redis.log", environ)
            address = self._start_database(make, servers.redis_url, servers.redis_ready)
            self._embedded["REDIS_URL"] = address
        if not self._settings.mongodb_uri:
            folder = self._data.mongodb_folder()
            make = partial(servers.mongodb, folder, logs / "mongodb.log", environ)
            address = self._start_database(make, servers.mongodb_uri, servers.mongodb_ready)
            self._embedded["MONGODB_URI"] = address
        self._announce()
        with translated():
            return connect(
                self._settings,
                uri=self._embedded.get("MONGODB_URI"),
                unlimited="MONGODB_URI" not in self._embedded,
            )

    def _start_database(
        self,
        make: Callable[[int], Program],
        address: Callable[[int], str],
        ready: Callable[[str, Child], bool],
    ) -> str:
        """Start a database on a free port, wait until it answers, and return its address.

        If it exits instead, another port is tried: another program may have taken this one.
        """
        for _ in range(DATABASE_STARTS):
            port = servers.free_port(but=self._settings.port)
            program, where = make(port), address(port)
            child = self._supervisor.start(program)

            def decided(child: Child = child, where: str = where) -> bool:
                return child.failures > 0 or ready(where, child)

            if not self._supervisor.until(decided, DATABASE_READY_SECONDS):
                break
            if not child.failures:
                return where
            self._supervisor.drop(child)
        raise StoreUnavailable(f"the embedded {program.name} does not start: see {program.log}")

    def _prepare(self, mongo: Mongo) -> None:
        """Apply the migrations and create the first admin.

        Retried for an embedded database, which may be slow right after its start.
        """
        admins, password = AdminStore(mongo), generated()
        trouble: StoreUnavailable | None = None

        def prepared() -> bool:
            nonlocal trouble
            try:
                for name in migrations.apply(mongo, self._settings, progress=self._say):
                    self._say(f"applied the migration {name}")
                # An earlier attempt that seemed to fail may have created the admin.
                if admins.first(FIRST_ADMIN, password) or (
                    trouble and admins.verify(FIRST_ADMIN, password)
                ):
                    self._password = password
            except StoreUnavailable as error:
                trouble = error
                return False
            return True

        seconds = DATABASE_READY_SECONDS if "MONGODB_URI" in self._embedded else 0.0
        try:
            if not self._supervisor.until(prepared, seconds) and trouble:
                raise StoreUnavailable(explain(trouble, mongo)) from trouble
        finally:
            mongo.close()
        if "MONGODB_URI" in self._embedded:
            self._data.mongodb_complete()

    def _serve(self) -> None:
        settings = self._settings
        shutil.rmtree(self._data.metrics, ignore_errors=True)
        self._data.metrics.mkdir()
        self._supervisor.start(webserver.program(settings, self._web_environ()))
        if not self._supervisor.until(lambda: webserver.answers(settings), WEB_READY_SECONDS):
            raise DmstatsError(f"the web server did not answer in {WEB_READY_SECONDS:.0f} s")
        self._say(f"generated secrets are in {self._data.secrets}")
        if {"MONGODB_URI", "REDIS_URL"} <= self._embedded.keys():
            self._say(f"try it: {command_line(*SIMULATE, data_dir=self._data.path)}")
        if sentence := plain_http.warning(settings):
            self._say(f"warning: {sentence}")

    def _print_password(self) -> None:
        """Print the first admin's password, once."""
        if self._password:
            self._say(
                f"created the first admin, {FIRST_ADMIN}, with the password {self._password} "
                "(not shown again; `dmstats reset-password` sets another)"
            )
            self._password = None

    def _check_redis(self) -> None:
        """Print a warning if a configured Redis is unreachable; the service starts without it."""
        if not self._settings.redis_url:
            return
        error = servers.redis_error(self._settings.redis_url)
        if error is not None:
            self._say(
                f"warning: cannot reach Redis (REDIS_URL): {plain_reason(error)}. Counting works; "
                "dashboards poll until Redis is back."
            )

    def _web_environ(self) -> dict[str, str]:
        data = self._data
        return {
            **self._environ,
            **self._embedded,
            **secrets.point_to(self._environ, data.secrets),
            "DMSTATS_DATA_DIR": str(data.path),
            "PROMETHEUS_MULTIPROC_DIR": str(data.metrics),
        }


def _setting_names() -> frozenset[str]:
    """The variables of all settings. They are not passed to the databases, as some are secrets."""
    names = [setting.metadata["env"] for setting in fields(Settings)]
    return frozenset([*names, *(f"{name}_FILE" for name in names)])
