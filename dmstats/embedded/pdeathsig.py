"""Runs a program that receives a signal when its parent dies, even if the parent is killed.

``python -I -S pdeathsig.py PARENT SIGNAL HOW PROGRAM [ARGUMENT...]`` arranges that ``SIGNAL`` is
sent when process ``PARENT`` is gone, and then execs ``PROGRAM``. It is a separate script because
code between fork and exec (``preexec_fn``) is not safe in a parent with threads. ``HOW`` is
``kernel`` (Linux) or ``watch``: a small process that polls once a second.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

PR_SET_PDEATHSIG = 1
WATCH_SECONDS = 1.0


def with_pdeathsig(parent: int, signal_number: int, how: str) -> None:
    """Arrange the signal for this process; exits if ``parent`` is already gone."""
    if how == "kernel":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
    elif os.fork() == 0:
        _watch(parent, os.getppid(), signal_number)
    if os.getppid() != parent:  # it died before the signal was arranged
        os._exit(0)


def _watch(parent: int, program: int, signal_number: int) -> None:
    while os.getppid() == program:
        if not _is_alive(parent):
            os.kill(program, signal_number)
            break
        time.sleep(WATCH_SECONDS)
    os._exit(0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    with_pdeathsig(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606  the launcher's own command, no shell wanted
