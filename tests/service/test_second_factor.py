"""The second factor: set up, asked for, used once, recovered, required."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pyotp
import pytest
from flask.testing import FlaskClient

from dmstats.core.clock import ManualClock
from dmstats.core.errors import BadRequest
from dmstats.db.admins.activity_log import LogFilter
from dmstats.db.admins.roles import Role
from dmstats.db.admins.second_factor import SecondFactors, UsedCode
from tests.service.admin_site import EMAIL, PASSWORD, TOKEN, AdminSite, bearer

OTHER = "grace@example.com"
URL = "/api/admin/me/second-factor"
CREDENTIALS = {"email": EMAIL, "password": PASSWORD}
OWN = {"currentPassword": PASSWORD}


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


class App:
    """What is on the phone."""

    def __init__(self, secret: str, clock: ManualClock) -> None:
        self._totp = pyotp.TOTP(secret)
        self._clock = clock

    def code(self, seconds: float = 0) -> str:
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000 + seconds, UTC)
        return self._totp.at(now)

    def wrong(self) -> str:
        right = {self.code(away) for away in (-60, -30, 0, 30, 60)}
        return next(code for code in ("000000", "000001", "000002", "000003", "000004", "000005")
                    if code not in right)  # fmt: skip


def set_up(client: FlaskClient, clock: ManualClock) -> tuple[App, list[str]]:
    """A second factor for who is signed in, whose first code is used up already."""
    offered = client.post(URL, json=OWN).get_json()
    app = App(offered["secret"], clock)
    done = client.post(f"{URL}/confirm", json={"code": app.code()})
    assert done.status_code == 200, done.text
    clock.advance(30)
    return app, done.get_json()["recoveryCodes"]


def events(site: AdminSite) -> list[str]:
    return [entry.event for entry in reversed(site.log.page(LogFilter(), limit=200)[0])]


def test_it_works(site: AdminSite, clock: ManualClock) -> None:
    app, _ = set_up(site.signed_in(), clock)
    browser = site.client()
    asked = browser.post("/login", data={**CREDENTIALS, "next": "/accounts"})
    assert (asked.status_code, asked.headers["Location"]) == (303, "/login/code?next=%2Faccounts")
    assert browser.get("/api/admin/stats").status_code == 401, "the password alone opens nothing"
    assert browser.get(asked.headers["Location"]).text == "code||/accounts"
    wrong = browser.post("/login/code", data={"code": app.wrong(), "next": "/accounts"})
    assert wrong.status_code == 401
    assert wrong.text.startswith("code|This code is not correct")
    right = browser.post("/login/code", data={"code": app.code(), "next": "/accounts"})
    assert (right.status_code, right.headers["Location"]) == (303, "/accounts")
    assert browser.get("/api/admin/me").get_json()["secondFactor"] is True
    assert browser.get("/login/code").headers["Location"] == "/login", "nothing is awaited now"
    assert events(site) == [
        "signed-in", "second-factor-set", "code-failed", "signed-in",
    ]  # fmt: skip


def test_a_script_sends_both_at_once(site: AdminSite, clock: ManualClock) -> None:
    app, _ = set_up(site.signed_in(), clock)
    alone = site.client().post("/login", json=CREDENTIALS)
    assert (alone.status_code, alone.get_json()["title"]) == (401, "Second factor needed")
    wrong = site.client().post("/login", json={**CREDENTIALS, "code": app.wrong()})
    assert (wrong.status_code, wrong.get_json()["title"]) == (401, "Wrong code")
    client = site.client()
    assert client.post("/login", json={**CREDENTIALS, "code": app.code()}).status_code == 200
    assert client.get("/api/admin/stats").status_code == 200
    bad = {"email": EMAIL, "password": "wrong password", "code": app.code()}
    assert site.client().post("/login", json=bad).get_json()["title"] == "Not signed in"


def status_with(site: AdminSite, code: str) -> int:
    return site.client().post("/login", json={**CREDENTIALS, "code": code}).status_code


class TestCodes:
    def test_each_holds_once(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        code = app.code()
        assert [status_with(site, code) for _ in range(2)] == [200, 401]
        clock.advance(30)
        assert status_with(site, app.code(-30)) == 401, "nor an older one after it"
        assert status_with(site, app.code()) == 200

    def test_the_one_used_to_set_up_is_used_up(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        assert status_with(site, app.code(-30)) == 401

    @pytest.mark.parametrize(("away", "status"), [(-60, 401), (-30, 200), (30, 200), (60, 401)])
    def test_clocks_may_differ_by_half_a_minute(
        self, site: AdminSite, clock: ManualClock, away: float, status: int
    ) -> None:
        app, _ = set_up(site.signed_in(), clock)
        clock.advance(120)
        assert status_with(site, app.code(away)) == status

    @pytest.mark.parametrize("seconds", [120, 3600, 86_400])
    def test_are_right_again_after_the_clock_was_ahead(
        self, site: AdminSite, clock: ManualClock, seconds: int
    ) -> None:
        app, _ = set_up(site.signed_in(), clock)
        clock.step(seconds)
        assert [status_with(site, app.code()) for _ in range(2)] == [200, 401]
        clock.step(-seconds)
        clock.advance(30)
        assert [status_with(site, app.code()) for _ in range(2)] == [200, 401]

    def test_may_be_typed_as_an_app_shows_them(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        code = app.code()
        assert status_with(site, f" {code[:3]} {code[3:]} ") == 200

    def test_guessing_is_limited_apart_from_passwords(
        self, site: AdminSite, clock: ManualClock
    ) -> None:
        app, _ = set_up(site.signed_in(), clock)
        tries = [status_with(site, app.wrong()) for _ in range(6)]
        assert tries == [401] * 5 + [429]
        assert site.client().post("/login", json=CREDENTIALS).status_code == 401, "not yet limited"

    @pytest.mark.parametrize("odd", ["", " ", "x", "१२३४५६", "12345", "1234567", "🙂", "-" * 40])
    def test_what_is_none(self, site: AdminSite, clock: ManualClock, odd: str) -> None:
        set_up(site.signed_in(), clock)
        assert status_with(site, odd) in (400, 401)


class TestRecoveryCodes:
    def test_each_signs_in_once(self, site: AdminSite, clock: ManualClock) -> None:
        _, codes = set_up(site.signed_in(), clock)
        assert len(set(codes)) == 10
        assert status_with(site, codes[0].upper().replace("-", " ")) == 200
        assert status_with(site, codes[0]) == 401
        assert status_with(site, codes[9]) == 200
        assert events(site).count("recovery-code-used") == 2

    def test_only_digests_are_kept(self, site: AdminSite, clock: ManualClock) -> None:
        _, codes = set_up(site.signed_in(), clock)
        stored = str(list(site.mongo.db["dmstats_admins"].find({})))
        assert not [code for code in codes if code in stored or code.replace("-", "") in stored]

    def test_a_new_set_up_replaces_them(self, site: AdminSite, clock: ManualClock) -> None:
        client = site.signed_in()
        old, codes = set_up(client, clock)
        new, _ = set_up(client, clock)
        assert status_with(site, codes[0]) == status_with(site, old.code()) == 401
        assert status_with(site, new.code()) == 200

    def test_new_ones_replace_all_earlier_ones(self, site: AdminSite, clock: ManualClock) -> None:
        client = site.signed_in()
        app, old = set_up(client, clock)
        earlier_release = hashlib.sha256(b"abcdefgh").hexdigest()
        people = site.mongo.db["dmstats_admins"]
        people.update_one({}, {"$set": {"totp.recovery": [earlier_release]}})
        made = client.post(f"{URL}/recovery-codes", json=OWN)
        assert (made.status_code, made.headers["Cache-Control"]) == (200, "no-store")
        new = made.get_json()["recoveryCodes"]
        assert len(set(new)) == 10
        assert not set(new) & set(old)
        statuses = [status_with(site, code) for code in (old[0], "abcd-efgh", new[0], new[0])]
        assert statuses == [401, 401, 200, 401]
        assert status_with(site, app.code()) == 200, "the app stays"
        assert "recovery-codes-made" in events(site)
        told = made.text + str(list(people.find({})))
        assert [code for code in new if told.count(code) != 1] == [], "shown once, never stored"

    def test_without_a_factor_there_are_none(self, site: AdminSite) -> None:
        answer = site.signed_in().post(f"{URL}/recovery-codes", json=OWN)
        assert (answer.status_code, "no second factor" in answer.text) == (400, True)
        assert "recovery" not in (site.mongo.db["dmstats_admins"].find_one() or {})


class TestSettingUp:
    def test_needs_ones_password(self, site: AdminSite, clock: ManualClock) -> None:
        client = site.signed_in()
        set_up(client, clock)
        for path in (URL, f"{URL}/remove", f"{URL}/recovery-codes"):
            wrong = client.post(path, json={"currentPassword": "wrong password"})
            assert wrong.status_code == 403

    def test_holds_only_once_it_is_confirmed(self, site: AdminSite, clock: ManualClock) -> None:
        client = site.signed_in()
        offered = client.post(URL, json=OWN).get_json()
        assert offered["address"].startswith("otpauth://totp/dmstats:ada%40example.com?secret=")
        assert offered["image"].startswith("data:image/svg+xml")
        app = App(offered["secret"], clock)
        assert client.post(f"{URL}/confirm", json={"code": app.wrong()}).status_code == 400
        assert site.client().post("/login", json=CREDENTIALS).status_code == 200
        clock.advance(15 * 60)
        late = client.post(f"{URL}/confirm", json={"code": app.code()})
        assert late.status_code == 400
        assert "too long" in late.get_json()["detail"]

    def test_without_beginning(self, site: AdminSite) -> None:
        ada = site.admins.create(EMAIL, PASSWORD)
        with pytest.raises(BadRequest):
            site.second_factors.confirm(ada.id, "000000")

    def test_removing_it(self, site: AdminSite, clock: ManualClock) -> None:
        client = site.signed_in()
        set_up(client, clock)
        assert client.post(f"{URL}/remove", json=OWN).status_code == 204
        assert site.client().post("/login", json=CREDENTIALS).status_code == 200
        assert events(site)[-2:] == ["second-factor-removed", "signed-in"]


class TestTheSecondStep:
    def test_must_come_soon(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        browser = site.client()
        browser.post("/login", data=CREDENTIALS)
        clock.advance(5 * 60)
        late = browser.post("/login/code", json={"code": app.code()})
        assert (late.status_code, late.get_json()["detail"][:14]) == (401, "This took too ")

    def test_needs_the_first(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        assert site.client().post("/login/code", json={"code": app.code()}).status_code == 401

    def test_ends_with_a_new_password(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        browser = site.client()
        browser.post("/login", data=CREDENTIALS)
        site.admins.change_password(site.admins.find(EMAIL).id, "a quite new password")
        assert browser.post("/login/code", json={"code": app.code()}).status_code == 401

    def test_is_not_made_by_another_sites_page(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        browser = site.client()
        browser.post("/login", data=CREDENTIALS)
        headers = {"Sec-Fetch-Site": "cross-site"}
        answer = browser.post("/login/code", data={"code": app.code()}, headers=headers)
        assert answer.status_code == 403

    def test_leads_nowhere_else(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        browser = site.client()
        browser.post("/login", data=CREDENTIALS)
        sent = {"code": app.code(), "next": "//elsewhere.example"}
        assert browser.post("/login/code", data=sent).headers["Location"] == "/"


def test_an_admin_removes_anothers_and_ends_the_sessions(
    site: AdminSite, clock: ManualClock
) -> None:
    client = site.signed_in()
    set_up(client, clock)
    grace = site.signed_in(OTHER)
    ada = site.admins.find(EMAIL).id
    url = f"/api/admin/admins/{ada}/remove-second-factor"
    viewer = site.signed_in("eve@example.com", Role.VIEWER)
    assert viewer.post(url).status_code == 403
    assert grace.post(url, json={}).status_code == 400
    assert grace.post(url, json={"currentPassword": "wrong password"}).status_code == 403
    assert client.get("/api/admin/me").get_json()["secondFactor"] is True
    assert client.post(url, json={"currentPassword": "wrong"}).status_code == 403, "nor one's own"
    assert grace.post(url, json=OWN).get_json()["secondFactor"] is False
    assert client.get("/api/admin/me").status_code == 401
    assert site.client().post("/login", json=CREDENTIALS).status_code == 200
    assert grace.post("/api/admin/admins/x/remove-second-factor", json=OWN).status_code == 404
    unknown = f"/api/admin/admins/{'f' * 24}/remove-second-factor"
    assert grace.post(unknown, json=OWN).status_code == 404


def test_where_it_is_required_nothing_else_comes_first(clock: ManualClock) -> None:
    site = AdminSite(clock, second_factor="required")
    client = site.signed_in()
    assert client.get("/").headers["Location"] == "/me"
    assert client.get("/me").text == "me"
    refused = client.get("/api/admin/stats")
    assert refused.status_code == 403
    assert "second factor" in refused.get_json()["detail"]
    assert client.post("/api/admin/admins", json={"email": OTHER}).status_code == 403
    assert site.client().get("/api/admin/stats", headers=bearer(TOKEN)).status_code == 200
    set_up(client, clock)
    assert client.get("/").text == "home"
    assert client.get("/api/admin/stats").status_code == 200


def test_no_secret_is_in_an_answer_or_the_log(site: AdminSite, clock: ManualClock) -> None:
    client = site.signed_in()
    offered = client.post(URL, json=OWN)
    assert offered.headers["Cache-Control"] == "no-store"
    secret = offered.get_json()["secret"]
    app = App(secret, clock)
    codes = client.post(f"{URL}/confirm", json={"code": app.code()}).get_json()["recoveryCodes"]
    shown = client.get("/api/admin/admins").text + client.get("/api/admin/me").text
    logged = str(list(site.mongo.db["dmstats_activity_log"].find({})))
    for hidden in (secret, *codes):
        assert hidden not in shown + logged


@pytest.mark.parametrize("odd", [5, None, "x", {}, {"secret": 5}, {"secret": "!!"}, []])
def test_a_damaged_factor_is_still_required(site: AdminSite, odd: object) -> None:
    site.admins.create(EMAIL, PASSWORD)
    site.mongo.db["dmstats_admins"].update_one({}, {"$set": {"totp": odd}})
    assert site.client().post("/login", json=CREDENTIALS).status_code == 401
    assert status_with(site, "123456") == 401


def stored(site: AdminSite) -> str:
    found = site.mongo.db["dmstats_admins"].find_one() or {}
    return str(found["totp"]["secret"])


def test_the_secret_is_stored_sealed(site: AdminSite, clock: ManualClock) -> None:
    offered = site.signed_in().post(URL, json=OWN).get_json()
    found = site.mongo.db["dmstats_admins"].find_one() or {}
    assert offered["secret"] not in repr(found)
    site.app.extensions["dmstats"].second_factors.confirm(
        str(found["_id"]), App(offered["secret"], clock).code()
    )
    assert stored(site).startswith("sealed1:")


def test_one_of_an_earlier_release_is_sealed_when_it_is_used(
    site: AdminSite, clock: ManualClock
) -> None:
    site.signed_in()
    secret = pyotp.random_base32()
    people = site.mongo.db["dmstats_admins"]
    people.update_one({}, {"$set": {"totp": {"secret": secret, "recovery": []}}})
    factors, admin_id = site.second_factors, str((people.find_one() or {})["_id"])
    assert factors.check(admin_id, App(secret, clock).wrong()) is None
    assert stored(site) == secret
    code = App(secret, clock).code()
    assert factors.check(admin_id, code) is UsedCode.APP
    assert stored(site).startswith("sealed1:")
    assert factors.check(admin_id, code) is None, "used"
    clock.advance(60)
    assert factors.check(admin_id, App(secret, clock).code()) is UsedCode.APP


def test_with_another_secret_key_only_recovery_codes_hold(
    site: AdminSite, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    offered = site.signed_in().post(URL, json=OWN).get_json()
    admin_id = str((site.mongo.db["dmstats_admins"].find_one() or {})["_id"])
    codes = site.second_factors.confirm(admin_id, App(offered["secret"], clock).code())
    clock.advance(60)
    rotated = SecondFactors(site.mongo, clock, "another secret key")
    assert rotated.check(admin_id, App(offered["secret"], clock).code()) is None
    assert "second_factor_unreadable" in [record.message for record in caplog.records]
    assert rotated.check(admin_id, codes[0]) is UsedCode.RECOVERY
