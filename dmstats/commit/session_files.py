"""Detects which committers of this host are alive: each holds a lock on its own session file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SUFFIX = ".session"


def session_folder(run_dir: Path, database: str) -> Path:
    """The folder in ``run_dir`` shared by all committers of this host that write to ``database``.

    Not in the temporary folder, where most systems delete what is some days old.
    """
    digest = hashlib.sha256(database.encode()).hexdigest()[:16]
    return run_dir / f"commit-{digest}"


def ensure_private(folder: Path) -> None:
    """Create ``folder``; raises ``PermissionError`` if other users may write to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(
            errno.EPERM, "the folder must belong to this user and be private", str(folder)
        )


class SessionRegistry:
    """Registers this process's session on this host and finds the sessions of dead processes.

    The kernel releases a lock when its holder dies, so no heartbeat or time-out is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: IO[bytes] | None = None
        self._session_id = b""

    def register(self, session_id: bytes) -> None:
        """Register this process's session until the process ends."""
        self._session_id = session_id
        ensure_private(self._folder)
        path = self._folder / f"{os.getpid()}-{session_id.hex()}{SUFFIX}"
        draft = path.with_suffix(".new")
        # Kept open on purpose: the lock lasts as long as the file is open.
        self._own = draft.open("wb")
        self._own.write(session_id)
        self._own.flush()
        fcntl.flock(self._own, fcntl.LOCK_EX)
        draft.rename(path)

    def touch(self) -> None:
        """Update the file's timestamp; call it every second to show that the process is running.

        A file that something has deleted is written again.
        """
        if self._own is None:
            return
        if not Path(self._own.name).with_suffix(SUFFIX).exists():
            self._own.close()
            self.register(self._session_id)
        # This host's time: a network file system would set its server's.
        os.utime(self._own.fileno(), (time.time(), time.time()))

    def stopped(self, seconds: float) -> list[bytes]:
        """The sessions of live processes that have not touched their file for ``seconds``: the
        process is stopped, or its event loop is blocked."""
        stopped = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > seconds and not self._is_own(path):
                    stopped.append(path.read_bytes())
        return stopped

    def unregister(self) -> None:
        """Remove the session file at a clean shutdown."""
        if self._own is not None:
            with contextlib.suppress(OSError):
                Path(self._own.name).with_suffix(SUFFIX).unlink()
            self._own.close()
            self._own = None

    def _is_own(self, path: Path) -> bool:
        return self._own is not None and os.path.samestat(path.stat(), os.fstat(self._own.fileno()))

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[bytes | None]:
        """The session id in ``path`` if no process holds its lock, else None. This process holds
        the lock inside the context."""
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield file.read()
        except OSError:  # held, gone, or unreadable
            yield None

    def dead(self) -> Iterator[bytes]:
        """The sessions of dead processes; a file is removed once the next is asked for."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with self._locked(path) as session_id:
                if session_id is not None:
                    yield session_id
                    path.unlink(missing_ok=True)
