"""The WSGI application, for gunicorn and for the `flask` command."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask


def _create() -> Flask:
    from dmstats.app import create_app  # noqa: PLC0415 - see Deferred
    from dmstats.core.errors import ConfigError  # noqa: PLC0415

    try:
        return create_app()
    except ConfigError as error:
        print(f"dmstats: {error}", file=sys.stderr)
        # gunicorn's WORKER_BOOT_ERROR: the master exits instead of retrying for ever
        sys.exit(3)


class Deferred:
    """Loads the application on first use, which with --preload is in the worker.

    gunicorn's master is not monkey-patched. Locks and sockets created there would block a worker's
    whole event loop.
    """

    def __init__(self) -> None:
        self._app: Flask | None = None

    def _loaded(self) -> Flask:
        if self._app is None:
            self._app = _create()
        return self._app

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded(), name)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._loaded()(environ, start_response)


def _in_master() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    patched = monkey is not None and monkey.is_module_patched("threading")
    return "gunicorn.arbiter" in sys.modules and not patched


app = Deferred() if _in_master() else _create()
