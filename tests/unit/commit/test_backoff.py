"""Courtesy: a fair share of the global document for each host, and no cost for a lone one."""

from __future__ import annotations

import pytest

from dmstats.commit.limits import LONGEST_SECONDS, SHORTEST_SECONDS, ContentionBackoff

COMMIT = 0.02


def settled(hosts: int, rounds: int = 60) -> list[ContentionBackoff]:
    """So many hosts that always have something to commit, after some rounds; whoever may go and
    has waited longest is the next."""
    courtesies = [ContentionBackoff() for _ in range(hosts)]
    ready = [0.0] * hosts
    now = 0.0
    for _ in range(rounds):
        first = min(range(hosts), key=lambda host: ready[host])
        now = max(now, ready[first])
        courtesies[first].written(waited=now - ready[first], took=COMMIT)
        now += COMMIT
        ready[first] = now + courtesies[first].pause
    return courtesies


def test_a_lone_host_never_pauses() -> None:
    assert settled(1)[0].pause == 0.0


def test_two_hosts_go_by_turns_without_a_pause() -> None:
    assert [each.pause for each in settled(2)] == pytest.approx([0.0, 0.0], abs=1e-9)


@pytest.mark.parametrize("hosts", [3, 4, 5])
def test_of_several_each_leaves_room_for_the_others(hosts: int) -> None:
    for courtesy in settled(hosts):
        assert courtesy.pause == pytest.approx((hosts - 2) * COMMIT)


def test_it_forgets_when_the_others_are_gone() -> None:
    courtesy = settled(4)[0]
    pauses = []
    for _ in range(4):
        pauses.append(courtesy.pause)
        courtesy.written(waited=0.0, took=COMMIT)
    assert pauses == sorted(pauses, reverse=True)
    assert courtesy.pause == 0.0


def test_no_wait_makes_a_pause_longer_than_the_longest() -> None:
    courtesy = ContentionBackoff()
    courtesy.written(waited=30.0, took=COMMIT)
    assert courtesy.pause == LONGEST_SECONDS


@pytest.mark.parametrize(
    ("took", "longest"),
    [(0.0, SHORTEST_SECONDS), (COMMIT, COMMIT / 2), (5.0, LONGEST_SECONDS)],
)
def test_the_longest_back_off_is_half_a_commit(took: float, longest: float) -> None:
    courtesy = ContentionBackoff()
    courtesy.written(waited=0.0, took=took)
    waits = [courtesy.back_off(attempt) for attempt in range(1, 100) for _ in range(20)]
    assert longest / 2 <= max(waits) <= longest
    assert all(wait >= SHORTEST_SECONDS / 4 for wait in waits)


def test_back_off_doubles_at_first() -> None:
    courtesy = ContentionBackoff()
    for attempt, ceiling in ((1, 0.004), (2, 0.008), (3, 0.016), (10, LONGEST_SECONDS)):
        waits = [courtesy.back_off(attempt) for _ in range(50)]
        assert ceiling / 2 <= min(waits) <= max(waits) <= ceiling
