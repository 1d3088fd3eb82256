"""Documents with any content are read as typed values or None."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from bson import decode, encode
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from dmstats.core.clock import DAY_MS, ManualClock, day_start, hour_start, to_datetime
from dmstats.db import documents, typed
from dmstats.db.decoding import CODEC
from dmstats.snapshot.body import check
from dmstats.snapshot.build import build, floor_of
from dmstats.snapshot.encoded import Malformed, cached_snapshot
from dmstats.web.api.stats import account_fields
from dmstats.web.schema.api_schemas import AccountAnswer
from dmstats.web.schema.snapshot_schema import Snapshot
from tests.bson_values import decoded, values
from tests.readings import readings_of

NOW = 1_794_746_096_000
MONTH = "2026-11"
NOW = 1_795_000_000_000
ACCOUNT: dict[str, Any] = {
    "_id": 1, "instagramId": "17", "username": "shop", "isActive": True, "dmUsed": 900,
    "monthlyDmUsed": 40, "currentMonth": MONTH, "monthlyDmLimit": 1000, "dmReceived": 70,
    "createdAt": to_datetime(0), "lastDMSent": to_datetime(0), "lastDMReceived": to_datetime(0),
    "ledgerBase": {"sent": 1, "received": 2, "month": MONTH, "monthSent": 3},
}  # fmt: skip
PLAIN = {int, float, str, bool, type(None)}


def test_it_works() -> None:
    assert documents.account(ACCOUNT).odd == ()
    assert documents.account(ACCOUNT).dm_used == 900
    assert documents.account({"_id": 1}).odd == ("instagramId",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5), (Int64(5), 5), (5.0, 5), (-0.0, 0), (Decimal128("12"), 12), (Decimal128("1E1"), 10),
        (2**63, None), (-(2**63), -(2**63)), (1.5, None), (1e300, None), (float("nan"), None),
        (float("inf"), None), (Decimal128("NaN"), None), (Decimal128("1E+6000"), None),
        (Decimal128("1.5"), None), (True, None), ("12", None), (None, None), ([5], None),
        (9223372036854775808.0, None), (datetime(2026, 1, 1, tzinfo=UTC), None),
    ],
)  # fmt: skip
def test_whole_numbers(value: object, expected: int | None) -> None:
    found = typed.integer(value)
    assert found == expected
    assert type(found) in (int, type(None))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1000", 1000), ("0", 0), (0, 0), ("", None), ("-5", None), ("1e3", None), ("\u0663", None),
     (" 5", None), ("9" * 16, None), (Decimal128("1000"), 1000), (Code("5"), None)],
)  # fmt: skip
def test_limits_may_be_digits(value: object, expected: int | None) -> None:
    assert typed.limit(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "2026-9",
        "2026-13",
        "2026-00",
        "2026-11-01",
        "November",
        "11/2026",
        "",
        "\u0662\u0660\u0662\u0666-\u0661\u0661",
        11,
    ],
)
def test_what_is_no_month(value: object) -> None:
    assert typed.month(value) is None
    assert typed.month("2026-09") == "2026-09"


def test_dates_outside_the_calendar_and_broken_text_decode() -> None:
    assert typed.moment(decoded(DatetimeMS(2**62))) is None
    assert typed.moment(decoded(DatetimeMS(-(2**62)))) is None
    assert typed.moment(decoded(datetime(9999, 12, 31, tzinfo=UTC))) is not None
    broken = encode({"v": "xyz"}).replace(b"xyz", b"\xff\xfez")
    assert typed.text(decode(broken, CODEC)["v"]) == "\ufffd\ufffdz"


@given(value=values)
def test_days_and_years_can_be_added_to_our_own_dates(value: Any) -> None:
    for each in (value, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)):
        found = typed.own_moment(each)
        if found is not None:
            for days in (-366, 3660):
                to_datetime(found + days * DAY_MS)
    assert typed.own_moment(datetime(2026, 11, 15, tzinfo=UTC)) == 1_794_700_800_000
    assert typed.own_moment(datetime(9999, 12, 31, tzinfo=UTC)) is None
    assert typed.own_moment(datetime(1969, 12, 31, tzinfo=UTC)) is None


def test_code_is_no_text() -> None:
    code = Code("x")
    assert typed.text(code) is None
    assert typed.identifier(code) is None
    assert documents.account({"instagramId": code}).odd == ("instagramId",)


def test_only_false_is_inactive() -> None:
    readable: list[tuple[object, bool]] = [
        (False, False), ([False], False), (True, True), (None, True), (0, True), ("", True),
        ([], True), ({}, True), ("false", True), ([0], True),
    ]  # fmt: skip
    for value, expected in readable:
        assert typed.active(value) is expected, value
    assert documents.account({}).is_active


@given(value=values, field=st.sampled_from([*ACCOUNT, "missing"]))
def test_an_account_with_any_value_in_any_field(value: Any, field: str) -> None:
    found = documents.account(ACCOUNT | {field: value})
    for part in msgspec.structs.asdict(found).values():
        assert type(part) in PLAIN | {tuple, documents.LedgerBase}
    answer = AccountAnswer().dump(account_fields(found, NOW, 0, None))
    AccountAnswer().load(msgspec.json.decode(msgspec.json.encode(answer)))
    whole = documents.account(ACCOUNT)
    changed = {
        name
        for name in documents.Account.__struct_fields__
        if getattr(found, name) != getattr(whole, name)
    }
    assert len(changed - {"odd"}) <= 1, "one value costs at most that value"
    if field in documents.ACCOUNT_FIELDS and value is not None:
        known = changed - {"odd"} or value == ACCOUNT[field]
        assert known or found.odd == (field,)


def whole_readings() -> dict[str, Any]:
    """Documents of every kind that a refresh reads."""
    minutes = {"5": {"sent": 2, "received": 1}}
    return {
        "totals": {
            "_id": "global", "dmsSent": 5, "dmsReceived": 4, "duplicates": 1, "rejected": 1,
            "late": 1, "events": {"seen": 3}, "lastEventAt": to_datetime(NOW),
            "canaryAt": to_datetime(NOW),
        },
        "hour": {"sent": 2, "received": 1, "minutes": minutes, "events": {"seen": 3}},
        "day": {"sent": 2, "received": 1},
        "account": ACCOUNT,
        "audit": {"at": to_datetime(NOW), "drift": 0},
        "canary": {"countedMs": 1.0, "streamedMs": 2.0, "shownMs": 3.0},
    }  # fmt: skip


PATHS = [
    (name, *path)
    for name, found in whole_readings().items()
    for path in [
        *((field,) for field in found),
        *((field, inner) for field, nested in found.items() if isinstance(nested, dict)
          for inner in nested),
        *([("minutes", "5", "sent"), ("minutes", "x"), ("minutes", "99")]
          if name == "hour" else []),
    ]
]  # fmt: skip


def snapshot_of(found: dict[str, Any]) -> dict[str, Any]:
    readings = readings_of(
        totals=found["totals"], hours={hour_start(NOW): found["hour"]},
        days={day_start(NOW): found["day"]}, top=[found["account"]] * 10,
        audit=found["audit"], canary=found["canary"], accounts=1, users=1,
    )  # fmt: skip
    assert isinstance(floor_of(readings), int)
    return build(readings, NOW) | {"refresh": {"computeMs": 1.0, "dbQueries": 6}}


@given(value=values, path=st.sampled_from(PATHS))
def test_a_refresh_of_any_value_in_any_field(value: Any, path: tuple[str, ...]) -> None:
    found = msgspec.json.decode(b"{}") | whole_readings()
    name, *inside, field = path
    found[name] = dict(found[name])
    place = found[name]
    for step in inside:
        place[step] = dict(place[step])
        place = place[step]
    place[field] = value
    body = snapshot_of(found)
    check(body)
    cached = cached_snapshot({"version": "1-2", **body})
    served = msgspec.json.decode(cached.serve("worker", NOW, 90_000).body)
    Snapshot().load(served)


@given(values)
def test_a_stored_body_becomes_plain(value: Any) -> None:
    msgspec.json.encode(typed.json_ready(value))


@given(value=values, data=st.data())
def test_a_body_with_any_value_in_any_field_is_whole_or_malformed(
    value: Any, data: st.DataObject
) -> None:
    body = snapshot_of(whole_readings())
    body[data.draw(st.sampled_from(sorted(body)))] = value
    try:
        cached = cached_snapshot({"version": "1-2", **typed.json_ready(body)})
    except Malformed:
        return
    errors = Snapshot().validate(msgspec.json.decode(cached.serve("store", NOW, 90_000).body))
    assert "Must be greater" in str(errors) or not errors, errors


@given(values)
def test_what_is_no_document_of_ours_reads_as_nothing(value: Any) -> None:
    assert documents.counted(value) is None or isinstance(value, dict)
    assert documents.audit_result(value) is None or isinstance(value, dict)
    assert isinstance(documents.population(value), dict)
    assert isinstance(documents.by_start([{"_id": value}]), dict)
    assert isinstance(typed.document_id(value), str)


def test_a_number_of_64_bits_is_plain(clock: ManualClock) -> None:
    """Totals above 2**31 come back as the driver's own type, which no encoder knows."""
    body = snapshot_of(whole_readings()) | {"totalDMsSent": Int64(2**40)}
    cached_snapshot({"version": "1-2", **typed.json_ready(body)})
