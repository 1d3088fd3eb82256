"""Values of every BSON type, as the host platform's documents may hold them in any field."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import Any

from bson import decode, encode
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from dmstats.db.decoding import CODEC

ODD_VALUES: list[Any] = [
    None, True, False,
    0, 5, -5, 2**31, Int64(5), Int64(2**62), Int64(2**63 - 1), Int64(-(2**63)),
    1.0, 1.5, -0.5, -0.0, 1e300, float("nan"), float("inf"), float("-inf"),
    *(Decimal128(text) for text in ("12", "1.5", "NaN", "Infinity", "-Infinity", "1E+6000")),
    "", "12", "many", "   ", "2026-11", "2026-9", "9999-12", "2026-11-15T12:34:56Z", "\u202ex",
    "x" * 20_000, "<b>&\"'", "a\x00b", "\U0001f600",
    [], [1, 2], ["a"], [1, "z"], [None], [[1]], [False], {}, {"a": 1}, {"a": {"b": [Int64(1)]}},
    b"x", Binary(b"\0" * 16, 4), Binary(b"x", 128), ObjectId("0" * 24),
    datetime(2026, 11, 15, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    Timestamp(5, 1), Regex("a.*", "i"), re.compile("a"), Code("x"), Code("x", {"a": 1}),
    MinKey(), MaxKey(), DBRef("a", 1),
]  # fmt: skip
"""One or more values of each type, and of the types next to it in BSON's order."""

UNSTORABLE: list[Any] = [DatetimeMS(2**62), DatetimeMS(-(2**62))]
"""What the embedded database refuses, and MongoDB does not."""


def decoded(value: Any) -> Any:
    """``value`` as it comes back from the database."""
    return decode(encode({"v": value}), CODEC)["v"]


scalars = st.one_of(
    st.sampled_from([*ODD_VALUES, *UNSTORABLE]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.datetimes(),
    st.integers(-(2**63), 2**63 - 1).map(DatetimeMS),
    st.decimals(allow_nan=True, places=3).map(lambda n: Decimal128(str(n)[:30])),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet="ab$.5", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
).map(decoded)
"""Any BSON value, nested too, as the driver decodes it."""


def slow_examples(number: int) -> settings:
    """Settings for examples that take seconds; ``OWN_EXAMPLES`` runs that many random ones."""
    chosen = os.environ.get("OWN_EXAMPLES")
    return settings(
        max_examples=int(chosen or number),
        derandomize=chosen is None,
        deadline=None,
        phases=[Phase.generate],  # no shrinking
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
