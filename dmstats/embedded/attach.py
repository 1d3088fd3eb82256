"""Completes a command's settings from a running ``dmstats run``: its databases and secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.embedded import secrets
from dmstats.embedded.datadir import DEFAULT, DataDir, Service

ADDRESSES = frozenset({"MONGODB_URI", "REDIS_URL"})


def attach(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ``, completed from its data folder.

    Missing secrets become ``NAME_FILE`` variables. The addresses of the embedded databases are
    added while the service is running. Variables that are set are not changed.
    """
    completed = dict(environ)
    data = data_dir(environ)
    service = data.service()
    if service:
        for name, address in (
            ("MONGODB_URI", service.mongodb_uri),
            ("REDIS_URL", service.redis_url),
        ):
            if address and not (completed.get(name) or completed.get(f"{name}_FILE")):
                completed[name] = address
    return completed | secrets.point_to(environ, data.secrets)


def require(settings: Settings, environ: Mapping[str, str], *names: str) -> None:
    """Raise :class:`ConfigError`, with a remedy, unless every field of ``names`` is set.

    ``settings`` are those of the completed ``environ``.
    """
    missing = settings.missing(*names)
    addresses = [name for name in missing if name in ADDRESSES]
    others = [name for name in missing if name not in ADDRESSES]
    if addresses and running(environ) is None:
        # A running service would provide the other settings as well.
        raise ConfigError(
            f"No dmstats is running with the data folder {data_dir(environ).path}. Start it "
            f"(make run), or set "
            f"{' and '.join(addresses)}."
        )
    if addresses:
        raise ConfigError(
            f"The dmstats with the data folder {data_dir(environ).path} is still starting, or "
            f"uses external "
            f"databases: set {' and '.join(addresses)} to the same values."
        )
    if others:
        raise ConfigError(f"Not set: {', '.join(others)}.")


def running(environ: Mapping[str, str]) -> Service | None:
    """The service that is running on the data folder in ``environ``, or None."""
    return data_dir(environ).service()


def stable_address(settings: Settings) -> str:
    """An identifier of the database that survives restarts: the data folder if it is embedded,
    because its port changes with each start, otherwise its address."""
    service = DataDir(settings.data_dir).service()
    embedded = service is not None and service.mongodb_uri == settings.mongodb_uri
    return str(settings.data_dir.absolute()) if embedded else settings.mongodb_uri or ""


def data_dir(environ: Mapping[str, str]) -> DataDir:
    """The data folder in ``environ``."""
    return DataDir(Path(environ.get("DMSTATS_DATA_DIR", "").strip() or DEFAULT))
