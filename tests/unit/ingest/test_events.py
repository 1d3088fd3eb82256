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

PAYLOADS = Path(__file__).parents[2] / "payloads"
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
     {"message": {}}, {"read": {}}, {"referral": {}}, {"timestamp": {}, "message": {"mid": ""}}],
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
    [b"", b"{", b"7", b"null", b'"x"', b"[]", b"[7]", b'{"object": 7, "entry": []}',
     b'{"object": "instagram"}', b'{"object": "instagram", "entry": {}}', b"\xff\xfe",
     b"[" * 100_000, b'{"object": "instagram", "entry": [], "x": "\xff"}' + b"{"],
)  # fmt: skip
def test_what_is_not_ours_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        read(raw)


@pytest.mark.parametrize("name", ["page", "user", "whatsapp_business_account", "Instagram"])
def test_another_object_is_ignored_and_counted_by_its_name(name: str) -> None:
    """A signed delivery never gets better by being sent again."""
    for entries, ignored in (([], 1), ([{"id": "1", "messaging": [dm()]}, 7], 2), ("x", 1)):
        reading = read({"object": name, "entry": entries})
        assert (reading.rows, reading.ignored, reading.rejected) == ([], ignored, 0)
        assert reading.foreign == {name: ignored}
    mixed = read([{"object": name}, body(dm())])
    assert (kinds(mixed), mixed.ignored) == (["received"], 1)


def test_an_odd_body_in_a_list_costs_itself_alone() -> None:
    reading = read([7, body(dm()), {"object": "instagram"}])
    assert (kinds(reading), reading.rejected) == (["received"], 2)


def test_a_number_of_any_length_costs_nothing() -> None:
    raw = json.dumps(body(dm(is_echo=None), extra="HERE")).replace('"HERE"', "9" * 5_000)
    assert kinds(read(raw.encode())) == ["received"]


ODD: list[Any] = [None, True, False, 0, 1, -1, 1.5, "x", "", "false", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    "name",
    ["sender", "recipient", "timestamp", "message_edit", "reaction", "read", "postback",
     "referral", "optin", "delivery", "new_field"],
)  # fmt: skip
def test_what_a_dm_does_not_need_may_have_any_type(name: str, odd: Any) -> None:
    reading = read(body(dm("m") | {name: odd}, dm("n", is_echo=True)))
    assert (kinds(reading), reading.rejected) == (["received", "sent"], 0)
    if name != "timestamp":
        assert reading.rows[0] == read(body(dm("m"))).rows[0]


@pytest.mark.parametrize("odd", [odd for odd in ODD if odd is not True and odd != 1], ids=repr)
@pytest.mark.parametrize(
    "name", ["is_echo", "is_self", "is_deleted", "is_unsupported", "text", "attachments", "app_id"]
)
def test_a_flag_of_another_type_says_nothing(name: str, odd: Any) -> None:
    reading = read(body(dm("m", **{name: odd})))
    assert (reading.rows, reading.ignored) == (read(body(dm("m"))).rows, 0)


@pytest.mark.parametrize("yes", [True, "true", 1])
def test_a_flag_that_says_yes(yes: Any) -> None:
    assert kinds(read(body(dm(is_echo=yes)))) == ["sent"]
    assert kinds(read(body(dm(is_deleted=yes)))) == ["unsent"]
    assert read(body(dm(is_self=yes))).ignored == 1


@pytest.mark.parametrize("odd", [odd for odd in ODD if odd != [1]], ids=repr)
@pytest.mark.parametrize("name", ["standby", "changes", "time", "field", "value", "extra"])
def test_an_entry_is_not_dropped_for_what_is_beside_its_items(name: str, odd: Any) -> None:
    reading = read(body(dm(), **{name: odd}))
    expected = ["received"] + ["unknown"] * (name == "field" and isinstance(odd, str))
    assert (kinds(reading), reading.rejected, reading.ignored) == (expected, 0, 0)


def test_a_single_item_may_stand_without_its_list() -> None:
    whole = {"object": "instagram", "entry": [{"id": "1", "time": NOW, "messaging": dm()}]}
    assert kinds(read(whole)) == ["received"]


WITHOUT_MID: list[tuple[str, dict[str, Any]]] = [
    ("postback", {"postback": {"title": "Open?", "payload": "FAQ"}}),
    ("seen", {"read": {"watermark": NOW}}),
    ("reaction", {"reaction": {"reaction": "love", "action": "react"}}),
    ("edit", {"message_edit": {"text": "x", "num_edit": 1}}),
]


@pytest.mark.parametrize(("kind", "part"), WITHOUT_MID)
def test_without_a_mid_time_and_content_tell(kind: str, part: dict[str, Any]) -> None:
    first = read(body(item(**part))).rows[0]
    again = read(body(item(**part), time=NOW + 7_000)).rows[0]
    later = read(body(item(time=NOW + 1, **part))).rows[0]
    (name, content), *_ = part.items()
    other = read(body(item(**{name: content | {"title": "Other"}}))).rows[0]
    elsewhere = read(body(item(**part), account="2")).rows[0]
    assert first.kind == kind
    assert again.row_id == first.row_id
    assert len({row.row_id for row in (first, later, other, elsewhere)}) == 4


def test_a_message_without_a_mid_does_not_hide_a_postback() -> None:
    both = item(message={"text": "x"}, postback={"mid": "m"})
    assert kinds(read(body(both))) == ["postback"]


COMMENT = {"field": "comments", "value": {"id": "18", "text": "hi"}}


def change(*changes: Any, time: Any = NOW, **entry: Any) -> dict[str, Any]:
    more = {"changes": list(changes)} if changes else {}
    return {"object": "instagram", "entry": [{"id": "1", "time": time, **more, **entry}]}


def test_a_change_may_stand_in_the_entry_itself() -> None:
    (row,) = read(change(**COMMENT)).rows
    assert (row.kind, row.name) == ("unknown", "comments")
    assert row.row_id == read(change(COMMENT)).rows[0].row_id
    second = {"field": "comments", "value": {"id": "19", "text": "hi"}}
    assert row.row_id != read(change(**second)).rows[0].row_id
    test = {"field": "messages", "value": {"timestamp": "1527459824", "message": {"mid": "x"}}}
    assert (read(change(**test)).rows, read(change(**test)).ignored) == ([], 1)


TIMELESS = [
    body({"message": {"mid": "m"}}), body(item("soon", message={"mid": "m"})),
    body(item(None, optin={"ref": "x"})), change(COMMENT), change(**COMMENT),
    change(hop_context=[{"app_id": 1}]),
]  # fmt: skip


@pytest.mark.parametrize("whole", TIMELESS)
def test_without_a_time_of_its_own_it_is_the_same_event_whenever_it_is_sent(whole: Any) -> None:
    raw = json.dumps(whole)
    first = read(raw.encode()).rows[0]
    assert (first.time_ms, first.late) == (NOW, True)
    for ms in (NOW + 100, NOW - HOUR_MS, NOW - 30 * DAY_MS, NOW + 5 * HOUR_MS, 5):
        regrouped = raw.replace(f'"time": {NOW}', f'"time": {ms}')
        assert regrouped != raw
        row = read(regrouped.encode(), arrived=NOW + DAY_MS).rows[0]
        assert (row.partition, row.row_id) == (first.partition, first.row_id)


def test_nothing_leans_on_ids_that_differ_from_app_to_app() -> None:
    parts: list[dict[str, Any]] = [
        {"message": {"mid": "m"}}, {"reaction": {"mid": "m", "action": "react"}},
        {"referral": {"ref": "x", "source": "SHORTLINK"}}, {"optin": {"ref": "x"}},
        *(part for _, part in WITHOUT_MID),
    ]  # fmt: skip
    for part in parts:
        one, other = (
            read(body(item(**part) | {"sender": {"id": sender}})) for sender in ("1", "8")
        )
        assert one.rows[0].row_id == other.rows[0].row_id, part


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


@pytest.mark.parametrize(
    ("entry", "path", "kind"),
    [
        (3, "entry[].id", "entry"),
        ({"id": True}, "entry[].id", "entry"),
        ({"id": "1", "messaging": 3}, "entry[].messaging", "entry"),
        ({"id": "1", "messaging": [3]}, "entry[].messaging[]", "item"),
        ({"id": "1", "messaging": [{}]}, "entry[].messaging[]", "item"),
        ({"id": "1", "messaging": [{"message": {}}]}, "entry[].messaging[].message.mid", "message"),
        ({"id": "1", "messaging": [{"read": {}}]}, "entry[].messaging[].timestamp", "read"),
        ({"id": "1", "messaging": [{"read": 3}]}, "entry[].messaging[].read", "read"),
        ({"id": "1", "changes": [{"field": 3}]}, "entry[].changes[].field", "change"),
        ({"id": "1 2", "messaging": [{"message": {"mid": "m"}}]}, "entry[].id", "received"),
    ],
)
def test_what_is_rejected_is_noted_with_the_path_of_its_field(
    entry: object, path: str, kind: str
) -> None:
    body = json.dumps({"object": "instagram", "entry": [entry]}).encode()
    reading = read_events(body, arrived_ms=NOW, max_age_ms=10**9)
    assert reading.rejected == 1
    assert [(note.name, note.kind, note.unknown) for note in reading.notes] == [(path, kind, False)]
    assert reading.entries == 1


def test_notes_have_names_of_fields_and_no_values() -> None:
    changes = [{"field": "comments", "value": {"text": "secret", "17841": 1, "from": {}}}] * 20
    body = json.dumps({"object": "instagram", "entry": [{"id": "1", "changes": changes}]}).encode()
    reading = read_events(body, arrived_ms=NOW, max_age_ms=10**9)
    assert {(note.name, note.account, note.keys) for note in reading.notes} == {
        ("comments", "1", ("from", "text"))
    }
    assert len(reading.notes) == 10
