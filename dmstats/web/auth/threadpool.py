"""Heavy computing away from the event loop, so that a worker's other requests go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import gevent

T = TypeVar("T")


def in_thread_pool(work: Callable[[], T], /) -> T:
    """The result of ``work``, computed in gevent's thread pool.

    It helps only where ``work`` releases the GIL, as argon2 does.
    """
    return cast("T", gevent.get_hub().threadpool.apply(work))
