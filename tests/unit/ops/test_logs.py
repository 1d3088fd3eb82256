"""The log never holds up the process that writes it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
from collections.abc import Iterator

import pytest
from gunicorn.config import Config

from dmstats.__main__ import run
from dmstats.core.exit_codes import USAGE
from dmstats.core.non_blocking_stream import NonBlockingStream
from dmstats.core.stopping import StopSignal
from dmstats.gunicorn_log import GunicornLog
from dmstats.ops.logs import JsonLines

LINES = 3_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


@pytest.fixture
def logger(pipe: tuple[int, int]) -> logging.Logger:
    handler = logging.StreamHandler(NonBlockingStream(pipe[1]))
    handler.setFormatter(JsonLines(dict))
    logger = logging.Logger("dmstats.test")  # noqa: LOG001 - of this test alone
    logger.addHandler(handler)
    return logger


def read_lines(reading: int) -> list[str]:
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_NONBLOCK)
    pieces = b""
    try:
        while piece := os.read(reading, 1 << 20):
            pieces += piece
    except BlockingIOError:
        pass
    return pieces.decode().splitlines()


def test_it_works(pipe: tuple[int, int], logger: logging.Logger) -> None:
    logger.warning("one\n\ud800", extra={"long": "x" * 20_000})
    logger.warning("two")
    first, second = map(json.loads, read_lines(pipe[0]))
    assert len(first["long"]) == 20_000
    assert second["event"] == "two"


@pytest.mark.parametrize("size", [10, 5_000, 100_000])
def test_a_reader_that_stops_holds_nobody_up(
    pipe: tuple[int, int], logger: logging.Logger, size: int
) -> None:
    lines = LINES if size < 1_000 else 100
    for number in range(lines):
        logger.warning("event", extra={"number": number, "text": "x" * size})
    written = read_lines(pipe[0])
    logger.warning("afterwards")
    written += read_lines(pipe[0])
    *some, dropped, last = filter(None, written)
    whole = [line for line in some if line.endswith("}")]
    assert len(some) - len(whole) <= 1, "one may be cut"
    assert json.loads(dropped)["lines"] == lines - len(whole)
    assert json.loads(last)["event"] == "afterwards"
    logger.warning("again")
    assert len(read_lines(pipe[0])) == 1


def test_a_reader_that_is_gone_holds_nobody_up(logger: logging.Logger) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    gone = logging.StreamHandler(NonBlockingStream(writing))
    other = logging.Logger("dmstats.gone")  # noqa: LOG001
    other.addHandler(gone)
    other.warning("nobody reads it")
    os.close(writing)


@pytest.fixture
def full(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard error is a pipe that is full."""
    os.set_blocking(pipe[1], False)
    for size in (65_536, 1):
        try:
            while True:
                os.write(pipe[1], b"x" * size)
        except BlockingIOError:
            pass
    os.set_blocking(pipe[1], True)
    with os.fdopen(os.dup(pipe[1]), "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        yield


@pytest.mark.usefixtures("full")
def test_it_holds_up_no_master() -> None:
    log = GunicornLog(Config())
    log.error("a worker ended")
    log.setup(Config())  # as a reload does
    log.error("a worker ended")
    log.error_log.handlers.clear()


@pytest.mark.usefixtures("full")
def test_it_holds_up_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "many")
    assert run(StopSignal()) == USAGE
