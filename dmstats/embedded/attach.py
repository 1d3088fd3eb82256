"""Attaches a command to what ``python -m dmstats`` made up, so that it needs no settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.embedded import secrets
from dmstats.embedded.datadir import DEFAULT, DataDir, Service

ADDRESSES = frozenset({"MONGODB_URI", "REDIS_URL"})


def attach(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ``, completed from the data folder that it names.

    Secrets that are not set become ``NAME_FILE`` variables; the embedded databases' addresses are
    there only while the service runs. What is set stays as it is.
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
    """Raise :class:`ConfigError` unless every field of ``names`` is set; it says what to do.

    ``settings`` are those of the completed ``environ``.
    """
    missing = settings.missing(*names)
    addresses = [name for name in missing if name in ADDRESSES]
    others = [name for name in missing if name not in ADDRESSES]
    if addresses and running(environ) is None:
        # The rest, too, comes from a running service.
        raise ConfigError(
            f"No dmstats is running on {data_dir(environ).path}. Start it (make run), or set "
            f"{' and '.join(addresses)}."
        )
    if addresses:
        raise ConfigError(
            f"The dmstats that runs on {data_dir(environ).path} is still starting, or was given "
            f"its databases: set {' and '.join(addresses)} as it has them."
        )
    if others:
        raise ConfigError(f"Not set: {', '.join(others)}.")


def running(environ: Mapping[str, str]) -> Service | None:
    """The service that runs on the data folder ``environ`` names, if one does."""
    return data_dir(environ).service()


def stable_address(settings: Settings) -> str:
    """What names the database from one start to the next: the embedded one has another port each
    time, so its data folder does."""
    service = DataDir(settings.data_dir).service()
    embedded = service is not None and service.mongodb_uri == settings.mongodb_uri
    return str(settings.data_dir.absolute()) if embedded else settings.mongodb_uri or ""


def data_dir(environ: Mapping[str, str]) -> DataDir:
    """The data folder that ``environ`` names."""
    return DataDir(Path(environ.get("DMSTATS_DATA_DIR", "").strip() or DEFAULT))
