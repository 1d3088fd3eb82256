from __future__ import annotations

import gevent
import pytest

from dmstats.sse.greenlet_stream import Subscriber
from dmstats.sse.messages import Event


@pytest.fixture
def subscriber() -> Subscriber:
    return Subscriber(lambda: 7.0, "ada", lambda: True)


def test_it_works(subscriber: Subscriber) -> None:
    event = Event("stats", "{}")
    subscriber.offer(event)
    assert subscriber.poll() is event
    assert subscriber.poll() is None


def test_only_the_newest_of_each_type_is_kept(subscriber: Subscriber) -> None:
    for number in range(5):
        subscriber.offer(Event("stats", str(number)))
        subscriber.offer(Event("heartbeat", str(number)))
    taken = [subscriber.poll(), subscriber.poll(), subscriber.poll()]
    assert [(event.type, event.data) for event in taken if event] == [
        ("stats", "4"),
        ("heartbeat", "4"),
    ]


def test_a_waiting_stream_is_woken(subscriber: Subscriber) -> None:
    taken = gevent.spawn(subscriber.take)
    gevent.sleep(0)
    subscriber.offer(Event("stats", "1"))
    assert taken.get(timeout=5) == Event("stats", "1")


def test_closing_ends_it_at_once(subscriber: Subscriber) -> None:
    waiting = gevent.spawn(subscriber.take)
    gevent.sleep(0)
    subscriber.offer(Event("stats", "1"))
    subscriber.close()
    assert waiting.get(timeout=5) is None
    assert subscriber.take() is None


def test_a_write_is_timed_from_take_to_take(subscriber: Subscriber) -> None:
    assert subscriber.writing_since is None
    subscriber.offer(Event("stats", "1"))
    subscriber.poll()
    assert subscriber.writing_since == 7.0
    waiting = gevent.spawn(subscriber.take)
    gevent.sleep(0)
    assert subscriber.writing_since is None
    subscriber.close()
    assert waiting.get(timeout=5) is None


def test_dropping_breaks_off_a_blocked_write(subscriber: Subscriber) -> None:
    def write() -> None:
        subscriber.take()
        gevent.sleep(60)

    writer = gevent.spawn(write)
    gevent.sleep(0)
    subscriber.offer(Event("stats", "1"))
    gevent.sleep(0.01)
    subscriber.drop()
    writer.join(5)
    assert writer.dead
