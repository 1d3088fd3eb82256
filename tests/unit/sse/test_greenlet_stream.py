from __future__ import annotations

import gevent
import pytest

from dmstats.sse.greenlet_stream import GreenletStream
from dmstats.sse.messages import Event


@pytest.fixture
def stream() -> GreenletStream:
    return GreenletStream(lambda: 7.0, "session")


def test_it_works(stream: GreenletStream) -> None:
    event = Event("stats", "{}")
    stream.offer(event)
    assert stream.poll() is event
    assert stream.poll() is None


def test_only_the_newest_of_each_type_is_kept(stream: GreenletStream) -> None:
    for number in range(5):
        stream.offer(Event("stats", str(number)))
        stream.offer(Event("heartbeat", str(number)))
    taken = [stream.poll(), stream.poll(), stream.poll()]
    assert [(event.type, event.data) for event in taken if event] == [
        ("stats", "4"),
        ("heartbeat", "4"),
    ]


def test_a_waiting_stream_is_woken(stream: GreenletStream) -> None:
    taken = gevent.spawn(stream.take)
    gevent.sleep(0)
    stream.offer(Event("stats", "1"))
    assert taken.get(timeout=5) == Event("stats", "1")


def test_closing_ends_it_at_once(stream: GreenletStream) -> None:
    waiting = gevent.spawn(stream.take)
    gevent.sleep(0)
    stream.offer(Event("stats", "1"))
    stream.close()
    assert waiting.get(timeout=5) is None
    assert stream.take() is None


def test_a_write_is_timed_from_take_to_take(stream: GreenletStream) -> None:
    assert stream.writing_since is None
    stream.offer(Event("stats", "1"))
    stream.poll()
    assert stream.writing_since == 7.0
    waiting = gevent.spawn(stream.take)
    gevent.sleep(0)
    assert stream.writing_since is None
    stream.close()
    assert waiting.get(timeout=5) is None


def test_dropping_breaks_off_a_blocked_write(stream: GreenletStream) -> None:
    def write() -> None:
        stream.take()
        gevent.sleep(60)

    writer = gevent.spawn(write)
    gevent.sleep(0)
    stream.offer(Event("stats", "1"))
    gevent.sleep(0.01)
    stream.drop()
    writer.join(5)
    assert writer.dead
