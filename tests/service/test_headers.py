from __future__ import annotations

import pytest
from flask import Flask, Response

from dmstats.core.clock import ManualClock
from dmstats.web.middleware.security_headers import register_headers
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


@pytest.mark.parametrize(
    ("mimetype", "shown"),
    [
        ("text/javascript; charset=utf-8", False),
        ("text/css; charset=utf-8", False),
        ("image/svg+xml", True),
        ("text/html; charset=utf-8", True),
        ("text/plain", True),
    ],
)
def test_only_what_may_be_shown_as_a_document_carries_a_policy(mimetype: str, shown: bool) -> None:
    app = Flask(__name__)
    app.add_url_rule("/file", view_func=lambda: Response("x", content_type=mimetype))
    register_headers(app)
    answer = app.test_client().get("/file")
    assert ("Content-Security-Policy" in answer.headers) is shown
    assert ("X-Frame-Options" in answer.headers) is shown
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_hsts_only_over_tls(site: AdminSite) -> None:
    client = site.client()
    assert "Strict-Transport-Security" not in client.get("/login").headers
    secure = client.get("/login", base_url="https://stats.example.com")
    assert secure.headers["Strict-Transport-Security"].startswith("max-age=")
