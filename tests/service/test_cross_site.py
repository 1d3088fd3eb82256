"""Every route that changes something, asked by another site's page with a signed-in browser."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from dmstats.core.clock import ManualClock
from dmstats.web.auth.access import ACCESS
from dmstats.web.auth.csrf import SAFE_METHODS
from tests.service.admin_site import AdminSite

OWN_SECRET = {
    "POST /api/meta/data-deletion",
    "POST /api/meta/deauthorize",
    "POST /api/cron/refresh-admin-stats",
    "POST /api/sends",
}
"""These look at no cookie."""
FROM_ELSEWHERE = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
)
"""What browsers say of another site's page; the last three are those without Fetch Metadata."""
BODIES = (
    ("application/json", "{}"),
    ("application/x-www-form-urlencoded", "a=b"),
    ("multipart/form-data; boundary=x", "--x--"),
    ("text/plain", '{"a": "b"}'),
    ("text/csv", "instagramId"),
)


CHANGING = [
    operation
    for operation in ACCESS
    if operation.partition(" ")[0] not in SAFE_METHODS and operation not in OWN_SECRET
]


@pytest.fixture(scope="module")
def site() -> AdminSite:
    return AdminSite(ManualClock(1_795_000_000_000))


@pytest.fixture(scope="module")
def client(site: AdminSite) -> FlaskClient:
    return site.signed_in()


@pytest.mark.parametrize("operation", CHANGING)
def test_it_is_refused_whatever_the_body(client: FlaskClient, operation: str) -> None:
    method, _, rule = operation.partition(" ")
    path = re.sub(r"<[^>]+>", "65a000000000000000000001", rule)
    for headers in FROM_ELSEWHERE:
        for kind, body in BODIES:
            answer = client.open(path, method=method, headers=headers, data=body, content_type=kind)
            assert answer.status_code == 403, (headers, kind)
            assert "another site" in answer.text, (headers, kind)


def test_the_session_has_survived(client: FlaskClient) -> None:
    assert client.get("/api/admin/me").status_code == 200
