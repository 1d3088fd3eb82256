"""The log never holds up the process that writes it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator

import pytest

from dmstats.ops.logs import JsonLines, NonBlockingStream

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
