"""A request whose body arrives after the rights of its sender have ended."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest

from dmstats.core.clock import ManualClock
from dmstats.db.admins.roles import Role
from dmstats.db.admins.scopes import Scope
from dmstats.web.auth.access import ACCESS
from tests.service.admin_site import EMAIL, PASSWORD, AdminSite, bearer
from tests.service.test_cross_site import CHANGING

OTHER = "grace@example.com"
ENDINGS: dict[str, Callable[[AdminSite, str], object]] = {
    "signed out": lambda site, key: site.admins.sign_out_everywhere(key),
    "demoted": lambda site, key: site.admins.set_role(key, Role.VIEWER),
    "disabled": lambda site, key: site.admins.set_disabled(key, disabled=True),
}
WITHOUT_BODY = {"disable", "enable", "sign-out", "revoke", "delete", "test", "refresh"}
"""The last parts of routes that look at no body: they have done it by then."""


class Late(io.BytesIO):
    """A body before the end of which something happens."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__(b"{}")
        self._happens = happens
        self.was_read = False

    def readinto(self, buffer: object) -> int:
        self._late()
        return super().readinto(buffer)  # type: ignore[arg-type]

    def read(self, size: int | None = -1) -> bytes:
        self._late()
        return super().read(size)

    def _late(self) -> None:
        if not self.was_read:
            self.was_read = True
            self._happens()


@pytest.fixture(scope="module")
def site() -> AdminSite:
    made = AdminSite(ManualClock(1_795_000_000_000))
    made.admins.create(EMAIL, PASSWORD)
    return made


GUARDED = [operation for operation in CHANGING if not ACCESS[operation].is_open]


@pytest.mark.parametrize("operation", GUARDED)
def test_it_is_refused_on_every_route_that_reads_a_body(site: AdminSite, operation: str) -> None:
    method, _, rule = operation.partition(" ")
    ada, client = site.admins.find(EMAIL), site.client()
    with client.session_transaction() as cookie:
        cookie["token"] = site.sessions.open(ada)
    late = Late(lambda: site.admins.sign_out_everywhere(ada.id))
    answer = client.open(
        re.sub(r"<[^>]+>", "65a000000000000000000001", rule), method=method, input_stream=late,
        content_type="application/json", headers={"Content-Length": "2"},
    )  # fmt: skip
    if rule.rpartition("/")[2] in WITHOUT_BODY:
        assert not late.was_read
    else:  # or it has found before that there is no such thing
        assert answer.status_code == (401 if late.was_read else 404), answer.text


@pytest.mark.parametrize("how", ENDINGS)
def test_whatever_has_ended_them(clock: ManualClock, how: str) -> None:
    site = AdminSite(clock)
    site.signed_in(OTHER)
    client = site.signed_in()
    late = Late(lambda: ENDINGS[how](site, site.admins.find(EMAIL).id))
    answer = client.post("/api/admin/tokens", input_stream=late, content_type="application/json",
                         headers={"Content-Length": "2"})  # fmt: skip
    assert answer.status_code == 401


def test_also_of_a_token(clock: ManualClock) -> None:
    site = AdminSite(clock)
    token, secret = site.tokens.create("script", [Scope.EDITS], days=1, made_by=EMAIL)
    late = Late(lambda: site.tokens.revoke(token.id))
    answer = site.client().post(
        "/api/admin/accounts/import", input_stream=late, content_type="text/csv",
        headers={"Content-Length": "2", **bearer(secret)},
    )  # fmt: skip
    assert answer.status_code == 401
