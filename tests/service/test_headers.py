from __future__ import annotations

import pytest

from dmstats.core.clock import ManualClock
from tests.service.admin_site import TOKEN, AdminSite, bearer


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


@pytest.mark.parametrize("path", ["/login", "/", "/nowhere", "/api/admin/stats", "/api/admin/x"])
def test_every_answer_carries_them(site: AdminSite, path: str) -> None:
    for answer in (site.client().get(path), site.client().get(path, headers=bearer(TOKEN))):
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        assert {"base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"} <= set(policy)
        assert not any("unsafe" in part or "*" in part for part in policy)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["Cache-Control"] in ("no-store", "private, no-cache")


def test_hsts_only_over_tls(site: AdminSite) -> None:
    client = site.client()
    assert "Strict-Transport-Security" not in client.get("/login").headers
    secure = client.get("/login", base_url="https://stats.example.com")
    assert secure.headers["Strict-Transport-Security"].startswith("max-age=")
