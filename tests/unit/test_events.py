"""Webhook bodies: what each shape counts as, and what makes two deliveries one event."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmstats.core.clock import DAY_MS, HOUR_MS
from dmstats.core.errors import BadRequest
from dmstats.core.records import OTHER_PARTITION
from dmstats.ingest.events import Reading, read_events
from dmstats.ingest.identity import normalise_time

PAYLOADS = Path(__file__).parents[1] / "payloads"
NOW = 1_785_000_100_000
MAX_AGE = 132 * HOUR_MS


def read(body: bytes | dict[str, Any] | list[Any], *, arrived: int = NOW) -> Reading:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_events(raw, arrived_ms=arrived, max_age_ms=MAX_AGE)


def body(*items: Any, account: Any = "17841", **entry: Any) -> dict[str, Any]:
    whole = {"id": account, "time": NOW, "messaging": list(items), **entry}
    return {"object": "instagram", "entry": [whole]}


def item(time: Any = NOW, **parts: Any) -> dict[str, Any]:
    return {"sender": {"id": "1"}, "recipient": {"id": "2"}, "timestamp": time, **parts}


def dm(mid: str = "m1", time: Any = NOW, **message: Any) -> dict[str, Any]:
    return item(time, message={"mid": mid, **message})


def kinds(reading: Reading) -> list[str]:
    return [row.kind for row in reading.rows]


def test_it_works() -> None:
    (row,) = read((PAYLOADS / "01_message_text_inbound.json").read_bytes()).rows
    assert (row.kind, row.account, row.time_ms) == ("received", "17841400000000001", 1785000000000)
    assert row.partition == "20260725"
    assert row.row_id[:4] == (1785000000000 // HOUR_MS).to_bytes(4, "big")
    assert len(row.row_id) == 20
    assert not row.late


@pytest.mark.parametrize(
    ("name", "expected", "ignored"),
    [
        ("01_message_text_inbound", ["received"], 0),
        ("02_message_echo_outbound", ["sent"], 0),
        ("03_message_unsent_is_deleted", ["unsent"], 0),
        ("04_reaction_then_unreact", ["reaction", "reaction"], 0),
        ("05_seen_read", ["seen"], 0),
        ("06_postback_icebreaker", ["postback"], 0),
        ("07_referral_igme_existing_thread", ["referral"], 0),
        ("08_message_edit", ["edit"], 0),
        ("09_standby_not_thread_owner", [], 1),
        ("10_dashboard_test_changes_string_seconds", [], 1),
        ("11_batch_mixed_accounts_dup_out_of_order", ["received"] * 5 + ["unknown"], 0),
        ("12_self_message_echo", [], 1),
    ],
)
def test_every_shape_counts_as_what_it_is(name: str, expected: list[str], ignored: int) -> None:
    reading = read((PAYLOADS / f"{name}.json").read_bytes())
    assert kinds(reading) == expected
    assert (reading.ignored, reading.rejected) == (ignored, 0)


def test_both_ways_of_decoding_agree() -> None:
    """The typed decode of a whole body and the one item by item tell the same rows."""
    for path in sorted(PAYLOADS.glob("*.json")):
        raw = path.read_bytes()
        wrapped = b"[" + raw + b"]"  # a list makes the typed decode step aside
        assert read(raw) == read(wrapped), path.name


def test_a_repetition_inside_one_body_has_the_same_id() -> None:
    raw = (PAYLOADS / "11_batch_mixed_accounts_dup_out_of_order.json").read_bytes()
    ids = [row.row_id for row in read(raw).rows]
    assert len(ids) - len(set(ids)) == 1


def test_the_same_mid_is_another_event_when_unsent_seen_or_edited() -> None:
    reading = read(
        body(
            dm("m"),
            dm("m", is_deleted=True),
            item(read={"mid": "m"}),
            item(message_edit={"mid": "m", "num_edit": 1}),
            item(message_edit={"mid": "m", "num_edit": 2}),
            item(reaction={"mid": "m", "action": "react"}),
            item(reaction={"mid": "m", "action": "unreact"}),
        )
    )
    assert len({row.row_id for row in reading.rows}) == 7


def test_parts_of_an_identity_do_not_run_into_each_other() -> None:
    first = read(body(item(reaction={"mid": "a", "action": "bc"}))).rows[0]
    second = read(body(item(reaction={"mid": "ab", "action": "c"}))).rows[0]
    assert first.row_id != second.row_id


@pytest.mark.parametrize(
    "odd",
    [7, None, "x", [], {}, {"message": "x"}, {"message": {"mid": 7}}, {"message": {"mid": ""}},
     {"message": {}}, {"read": {}}, {"referral": {}}, {"timestamp": {}, "message": {"mid": "m"}}],
)  # fmt: skip
def test_an_unreadable_item_is_rejected_alone(odd: Any) -> None:
    reading = read(body(dm("good"), odd, dm("also good")))
    assert kinds(reading) == ["received", "received"]
    assert reading.rejected == 1


@pytest.mark.parametrize("account", ["", "a b", "$ne", "x" * 65, "é", True, None, 1.5, {}, []])
def test_an_account_that_is_no_id_is_rejected(account: Any) -> None:
    reading = read(body(dm(), account=account))
    assert (reading.rows, reading.rejected) == ([], 1)


def test_an_account_may_be_a_number() -> None:
    assert read(body(dm(), account=17841)).rows[0].account == "17841"


def test_an_unreadable_entry_is_rejected_alone() -> None:
    whole = body(dm())
    whole["entry"] += [7, {"id": "1", "messaging": "x"}]
    reading = read(whole)
    assert (kinds(reading), reading.rejected) == (["received"], 2)


def test_unknown_events_are_counted_by_name() -> None:
    raw = body(
        item(pass_thread_control={"x": 1}), item(**{"$bad.name": 1}), changes=[{"field": "x"}]
    )
    assert [row.name for row in read(raw).rows] == ["pass_thread_control", "unnamed", "x"]


def test_an_unknown_list_in_an_entry_is_counted_by_name() -> None:
    raw = {"object": "instagram", "entry": [{"id": "1", "time": NOW, "hop_context": [{}]}]}
    assert [(row.kind, row.name) for row in read(raw).rows] == [("unknown", "hop_context")]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"7", b"null", b'"x"', b"[]", b"[7]", b'{"object": "page", "entry": []}',
     b'{"object": "instagram"}', b'{"object": "instagram", "entry": {}}', b"\xff\xfe",
     b"[" * 100_000, b'{"object": "instagram", "entry": [], "x": "\xff"}' + b"{"],
)  # fmt: skip
def test_what_is_not_ours_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        read(raw)


def test_a_field_named_by_half_an_emoji_is_rejected_alone() -> None:
    item = {"sender": {"id": "9"}, "recipient": {"id": "1"}, "timestamp": 1, "\ud800": {}}
    entry = {"id": "1", "time": 1, "messaging": [item]}
    raw = json.dumps({"object": "instagram", "entry": [entry]}).encode()
    reading = read_events(raw, arrived_ms=10**12, max_age_ms=10**9)
    assert (len(reading.rows), reading.rejected) == (0, 1)


def test_half_an_emoji_costs_nothing() -> None:
    """Texts are cut between the halves of a surrogate pair; JSON allows it, UTF-8 does not."""
    raw = json.dumps(body(dm("m\ud83d", text="cut \ud83d"))).encode()
    assert kinds(read(raw)) == ["received"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [(NOW, NOW), (str(NOW), NOW), (NOW // 1000, NOW), (str(NOW // 1000), NOW), (float(NOW), NOW),
     (NOW * 1000, NOW), (0, None), (-5, None), ("", None), ("soon", None), ("\u0663", None),
     (None, None), ("9" * 5000, None), (float("nan"), None), (float("inf"), None),
     (10**30, None)],
)  # fmt: skip
def test_times_are_normalised_by_magnitude(told: Any, expected: int | None) -> None:
    assert normalise_time(told) == expected


def test_an_old_event_keeps_its_time_and_goes_to_the_late_ones() -> None:
    row = read(body(dm(time=NOW - MAX_AGE - 1))).rows[0]
    assert (row.partition, row.late, row.time_ms) == (OTHER_PARTITION, True, NOW - MAX_AGE - 1)
    assert row.row_id[:4] == bytes(4)


@pytest.mark.parametrize("time", [NOW + HOUR_MS + 1, NOW - 400 * DAY_MS, None, "never"])
def test_a_time_that_cannot_be_believed_gives_way_to_the_arrival(time: Any) -> None:
    row = read(body(dm(time=time), time=time)).rows[0]
    assert (row.partition, row.late, row.time_ms) == (OTHER_PARTITION, True, NOW)


def test_without_a_time_of_its_own_an_event_has_its_posts_time() -> None:
    assert read(body(dm(time=None))).rows[0].time_ms == NOW


@given(st.integers(min_value=-48 * HOUR_MS, max_value=200 * HOUR_MS))
def test_a_retry_finds_the_row_wherever_the_first_delivery_put_it(drift: int) -> None:
    """Whatever the clock says at either delivery, one of the retry's two ids is the first's."""
    first = read(body(dm(time=NOW)), arrived=NOW - HOUR_MS).rows[0]
    retry = read(body(dm(time=NOW)), arrived=NOW + drift).rows[0]
    assert (first.partition, first.row_id) in {(retry.partition, retry.row_id), retry.alternate_id}


@given(st.binary(max_size=300))
def test_no_bytes_break_it(raw: bytes) -> None:
    with contextlib.suppress(BadRequest):
        read(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4), JSON, JSON, JSON)
def test_no_json_in_an_envelope_of_ours_breaks_it(
    items: Any, account: Any, time: Any, more: Any
) -> None:
    entry = {"id": account, "time": time, "messaging": items, "changes": more}
    read({"object": "instagram", "entry": [entry, more]})
