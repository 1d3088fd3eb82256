"""Which committers of this host are alive: each keeps a locked file, which its death unlocks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SUFFIX = ".session"


def session_folder(database: str) -> Path:
    """The folder shared by all committers of this host and user that write to ``database``."""
    digest = hashlib.sha256(database.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"dmstats-{os.getuid()}-{digest}"


def ensure_private(folder: Path) -> None:
    """Make ``folder``; raises ``PermissionError`` where other users could have written to it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(errno.EPERM, "the folder must be of this user only", str(folder))


class SessionRegistry:
    """Announces this process' session to its neighbours, and finds those of the dead.

    The kernel gives a lock back when its holder dies, however it dies: no heartbeat, no time-out.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: IO[bytes] | None = None

    def register(self, session_id: bytes) -> None:
        """Say which session is ours, for as long as this process lives."""
        ensure_private(self._folder)
        path = self._folder / f"{os.getpid()}-{session_id.hex()}{SUFFIX}"
        draft = path.with_suffix(".new")
        # Kept open beyond this call on purpose: the lock lives as long as the file is open.
        self._own = draft.open("wb")
        self._own.write(session_id)
        self._own.flush()
        fcntl.flock(self._own, fcntl.LOCK_EX)
        draft.rename(path)

    def touch(self) -> None:
        """Say that this process is running; it does so every second."""
        if self._own is not None:
            os.utime(self._own.fileno())

    def stopped(self, seconds: float) -> list[bytes]:
        """The sessions of living neighbours that have said nothing for ``seconds``: the process is
        stopped, or its event loop is blocked."""
        silent = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > seconds and not self._is_own(path):
                    silent.append(path.read_bytes())
        return silent

    def unregister(self) -> None:
        """Leave nothing behind, at an orderly end."""
        if self._own is not None:
            Path(self._own.name).with_suffix(SUFFIX).unlink(missing_ok=True)
            self._own.close()
            self._own = None

    def _is_own(self, path: Path) -> bool:
        return self._own is not None and os.path.samestat(path.stat(), os.fstat(self._own.fileno()))

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[bytes | None]:
        """The session id in ``path`` if no process holds its lock; locked by this one
        while the context lasts."""
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield file.read()
        except (BlockingIOError, FileNotFoundError):
            yield None

    def dead(self) -> Iterator[bytes]:
        """The sessions of dead neighbours; each is forgotten once the caller asks for the next."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with self._locked(path) as session_id:
                if session_id is not None:
                    yield session_id
                    path.unlink(missing_ok=True)
