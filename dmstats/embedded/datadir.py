"""The data folder: used by one service at a time, whose address commands read from a file."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dmstats.core.errors import ConfigError

DEFAULT = "var"
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a running ``dmstats run`` publishes about itself.

    An address is ``None`` unless the database is embedded: external ones may contain passwords.
    """

    pid: int
    mongodb_uri: str | None
    redis_url: str | None
    base_url: str

    def is_alive(self) -> bool:
        """Whether its process exists."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it belongs to another user, so it exists
            return True
        return True


class DataDir:
    """The folder in ``DMSTATS_DATA_DIR``; created when it is first locked."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.secrets = self.path / "secrets"
        self.logs = self.path / "log"
        self.metrics = self.path / "metrics"
        self._mongodb = self.path / "mongodb"
        self._incomplete = self._mongodb / "dmstats-incomplete"
        self._note = self.path / "service.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder; :class:`ConfigError` if it is in use or cannot be created.

        The kernel releases the lock when the process ends, even after a crash.
        """
        try:
            for folder in (self.path, self.secrets, self.logs):
                folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        except FileExistsError as error:
            raise ConfigError(f"DMSTATS_DATA_DIR: {error.filename} is not a folder") from error
        except OSError as error:
            raise ConfigError(f"DMSTATS_DATA_DIR: {error.strerror}: {error.filename}") from error
        try:
            self._lock(handle)
            yield
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(self._held()) from None

    def _held(self) -> str:
        service = self.service()
        who = f" (process {service.pid}, {service.base_url})" if service else ""
        return (
            f"the data folder {self.path} is in use by another dmstats{who}: "
            "stop that one, or set DMSTATS_DATA_DIR to another folder"
        )

    def mongodb_folder(self) -> Path:
        """The folder for the embedded MongoDB to start in.

        It is emptied if its first start was interrupted before :meth:`mongodb_complete`. Nothing
        has been stored in it yet, and SecantusDB 0.7.0b3 may be unable to open it: killed at 150
        different calls while it created its files, it failed to start again after 21 of them
        (``WiredTigerError: Invalid argument``).
        """
        self._mongodb.mkdir(exist_ok=True)
        files = list(self._mongodb.iterdir())
        if self._incomplete in files:
            files.remove(self._incomplete)  # last: this may be interrupted, too
            for file in files:
                file.unlink()
        elif not files:
            self._incomplete.touch()
        return self._mongodb

    def mongodb_complete(self) -> None:
        """Record that the embedded MongoDB has all its collections: keep it from now on."""
        self._incomplete.unlink(missing_ok=True)

    def service(self) -> Service | None:
        """The service that is running on this folder, or None."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        service = Service(
            pid=note["pid"],
            mongodb_uri=note["mongodbUri"],
            redis_url=note["redisUrl"],
            base_url=note["baseUrl"],
        )
        return service if service.is_alive() else None

    def has_stale_note(self) -> bool:
        """Whether the last service ended uncleanly; call it only while holding the lock."""
        return self._note.exists()

    def announce(self, service: Service) -> None:
        """Write the service's address file, atomically and readable by the owner only."""
        note = {
            "pid": service.pid,
            "mongodbUri": service.mongodb_uri,
            "redisUrl": service.redis_url,
            "baseUrl": service.base_url,
        }
        write_private(self._note, json.dumps(note))

    def withdraw(self) -> None:
        """Remove the address file."""
        self._note.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 600 atomically and durably."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123  a descriptor, not a path
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
