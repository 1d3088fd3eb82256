"""Links for choosing a password: an invitation, and for a password that was lost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from flask.testing import FlaskClient

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.ops.mail import Mail, MailNotSent, SmtpMailer
from dmstats.web.auth.link_mail import link_mail
from tests.servers import free_port
from tests.service.admin_site import EMAIL, PASSWORD, TOKEN, AdminSite, bearer

GUEST = "guest@example.com"
NEW = "a quite new password"
DAY = timedelta(days=1).total_seconds()


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


@pytest.fixture
def client(site: AdminSite) -> FlaskClient:
    return site.signed_in()


def token_of(link: str) -> str:
    return link.partition("?link=")[2]


def invite(client: FlaskClient) -> dict[str, Any]:
    answer = client.post("/api/admin/admins/invite", json={"email": GUEST})
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def reset(site: AdminSite, client: FlaskClient, email: str = GUEST) -> str:
    admin = site.admins.find(email)
    answer = client.post(f"/api/admin/admins/{admin.id}/link", json={"currentPassword": PASSWORD})
    assert answer.status_code == 200, answer.text
    return token_of(answer.get_json()["link"])


def choose(site: AdminSite, token: str, password: str = NEW) -> int:
    sent = {"link": token, "password": password}
    return site.client().post("/password", json=sent).status_code


def sign_in(site: AdminSite, password: str, email: str = GUEST) -> int:
    sent = {"email": email, "password": password}
    return site.client().post("/login", json=sent).status_code


def test_an_invitation(site: AdminSite, client: FlaskClient) -> None:
    made = invite(client)
    assert (made["mailed"], made["problem"], made["admin"]["invited"]) == (False, None, True)
    assert made["link"].startswith("http://localhost/password?link=")
    token = token_of(made["link"])
    assert sign_in(site, "") == 400
    assert sign_in(site, PASSWORD) == 401, "there is no password yet"
    page = site.client().get(f"/password?link={token}")
    assert page.text.split("|")[:3] == ["", GUEST, token]
    weak = site.client().post("/password", data={"link": token, "password": "password1"})
    assert weak.status_code == 400
    assert "too common" in weak.text
    assert weak.text.split("|")[2] == token, "a refused password leaves the link valid"
    done = site.client().post("/password", data={"link": token, "password": NEW})
    assert (done.status_code, done.text.split("|")[3]) == (200, "True")
    assert sign_in(site, NEW) == 200
    listed = client.get("/api/admin/admins").get_json()["admins"]
    assert [admin["invited"] for admin in listed] == [False, False]


def test_it_works_once(site: AdminSite, client: FlaskClient) -> None:
    token = token_of(invite(client)["link"])
    assert choose(site, token) == 200
    assert choose(site, token, "another new password") == 410
    assert sign_in(site, NEW) == 200
    assert site.client().get(f"/password?link={token}").status_code == 410


def test_opening_it_does_not_use_it_up(site: AdminSite, client: FlaskClient) -> None:
    token = token_of(invite(client)["link"])
    for _ in range(3):
        assert site.client().get(f"/password?link={token}").status_code == 200
    assert choose(site, token) == 200


def test_it_works_for_a_day(site: AdminSite, client: FlaskClient, clock: ManualClock) -> None:
    token = token_of(invite(client)["link"])
    clock.advance(DAY - 1)
    assert site.client().get(f"/password?link={token}").status_code == 200
    clock.advance(1)
    assert choose(site, token) == 410
    assert sign_in(site, NEW) == 401


def test_a_lost_password(site: AdminSite, client: FlaskClient) -> None:
    guest = site.signed_in(GUEST)
    token = reset(site, client)
    assert guest.get("/").text == "home", "until it is used, nothing changes"
    assert sign_in(site, PASSWORD) == 200
    assert choose(site, token) == 200
    assert guest.get("/").status_code == 302, "all sessions end"
    assert client.get("/").text == "home"
    assert (sign_in(site, PASSWORD), sign_in(site, NEW)) == (401, 200)


def test_a_newer_one_takes_its_place(site: AdminSite, client: FlaskClient) -> None:
    first = token_of(invite(client)["link"])
    second = reset(site, client)
    assert choose(site, first) == 410
    assert choose(site, second) == 200


@pytest.mark.parametrize("change", ["password", "disable", "sign-out"])
def test_what_ends_sessions_ends_it(site: AdminSite, client: FlaskClient, change: str) -> None:
    token = token_of(invite(client)["link"])
    url = f"/api/admin/admins/{site.admins.find(GUEST).id}/{change}"
    body = {"currentPassword": PASSWORD, "password": NEW} if change == "password" else {}
    assert client.post(url, json=body).status_code == 200
    assert choose(site, token, "yet another password") == 410


def test_a_disabled_admin_gets_none(site: AdminSite, client: FlaskClient) -> None:
    invite(client)
    url = f"/api/admin/admins/{site.admins.find(GUEST).id}"
    assert client.post(f"{url}/disable").status_code == 200
    answer = client.post(f"{url}/link", json={"currentPassword": PASSWORD})
    assert answer.status_code == 404


def test_a_link_for_another_person_needs_ones_own_password(
    site: AdminSite, client: FlaskClient
) -> None:
    invite(client)
    url = f"/api/admin/admins/{site.admins.find(GUEST).id}/link"
    wrong = {"currentPassword": "not this one"}
    assert [client.post(url, json=wrong).status_code for _ in range(6)] == [403] * 5 + [429]
    assert client.post(url, json=wrong, headers=bearer(TOKEN)).status_code == 403
    for path in ("invite", "0" * 24 + "/link"):
        answer = client.post(f"/api/admin/admins/{path}", json={}, headers=bearer(TOKEN))
        assert answer.status_code == 403


def test_other_sites_cannot_use_one(site: AdminSite, client: FlaskClient) -> None:
    token = token_of(invite(client)["link"])
    cross = {"Sec-Fetch-Site": "cross-site"}
    sent = {"link": token, "password": NEW}
    assert site.client().post("/password", json=sent, headers=cross).status_code == 403
    url = "http://stats.example.com"
    assert site.client().post("/password", json=sent, base_url=url).status_code == 403, "no HTTPS"
    assert choose(site, token) == 200


@pytest.mark.parametrize(
    "link", ["", "x", "0" * 24, "0" * 24 + ".x", "{'$ne': 1}", "\ud800", "a" * 200]
)
def test_what_is_no_link(site: AdminSite, client: FlaskClient, link: str) -> None:
    invite(client)
    if link.isascii():
        assert site.client().get("/password", query_string={"link": link}).status_code == 410
    body = json.dumps({"link": link, "password": NEW})
    answer = site.client().post("/password", data=body, content_type="application/json")
    assert answer.status_code == 410
    answer = site.client().post("/password", json={"link": {"$ne": ""}, "password": NEW})
    assert answer.status_code == 400


def test_only_a_digest_is_stored(site: AdminSite, client: FlaskClient) -> None:
    token = token_of(invite(client)["link"])
    stored = str(site.mongo.db["dmstats_admins"].find_one({"email": GUEST}))
    assert token not in stored
    assert token.partition(".")[2] not in stored


def test_a_person_is_invited_only_once(client: FlaskClient) -> None:
    invite(client)
    for email, status in ((GUEST, 409), (EMAIL, 409), ("no address", 400)):
        answer = client.post("/api/admin/admins/invite", json={"email": email})
        assert answer.status_code == status


def test_while_the_database_is_away(
    site: AdminSite, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_of(invite(client)["link"])

    def away(*_: object) -> None:
        raise StoreUnavailable("no server")

    with monkeypatch.context() as patch:
        patch.setattr(site.admins, "link_holder", away)
        page = site.client().post("/password", data={"link": token, "password": NEW})
        assert page.status_code == 503
    assert choose(site, token) == 200


class Inbox:
    """A mail server that keeps what it gets, and may refuse."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.users: list[tuple[bytes, bytes]] = []
        self.refuse = ""

    async def handle_DATA(  # noqa: N802 - its name in aiosmtpd
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        if self.refuse:
            return self.refuse
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += envelope.rcpt_tos
        return "250 OK"

    def __call__(self, server: Any, session: Any, envelope: Any, how: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def smtp(inbox: Inbox) -> Iterator[str]:
    port = free_port()
    controller = Controller(inbox, "127.0.0.1", port, authenticator=inbox, auth_require_tls=False)
    controller.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        controller.stop()


class TestByMail:
    @pytest.fixture
    def mailing(self, site: AdminSite, smtp: str) -> AdminSite:
        mailer = SmtpMailer(f"smtp://{smtp}", "dmstats <stats@example.com>")
        site.app.extensions["dmstats"].mailer = mailer
        return site

    def test_an_invitation_arrives_as_text_and_html(self, mailing: AdminSite, inbox: Inbox) -> None:
        made = invite(mailing.signed_in())
        assert (made["link"], made["mailed"], made["problem"]) == (None, True, None)
        (mail,) = inbox.mails
        assert (mail["To"], mail["From"]) == (GUEST, "dmstats <stats@example.com>")
        assert mail["Subject"] == "Your invitation to dmstats"
        text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
        assert text is not None
        assert html is not None
        (link,) = re.findall(r"http://localhost/password\?link=\S+", text.get_content())
        assert f'href="{link}"' in html.get_content()
        assert choose(mailing, token_of(link)) == 200

    def test_a_link_for_a_lost_password(self, mailing: AdminSite, inbox: Inbox) -> None:
        client = mailing.signed_in()
        mailing.admins.create(GUEST, PASSWORD)
        url = f"/api/admin/admins/{mailing.admins.find(GUEST).id}/link"
        made = client.post(url, json={"currentPassword": PASSWORD}).get_json()
        assert (made["link"], made["mailed"]) == (None, True)
        assert inbox.mails[-1]["Subject"] == "Choose a new password for dmstats"

    def test_where_it_cannot_be_sent_the_link_is_shown(
        self, mailing: AdminSite, inbox: Inbox
    ) -> None:
        inbox.refuse = "550 no such user in guest@example.com"
        made = invite(mailing.signed_in())
        assert made["mailed"] is False
        assert made["problem"] == "The mail could not be sent: the mail server answered 550."
        assert choose(mailing, token_of(made["link"])) == 200

    def test_the_public_address_comes_first(self, clock: ManualClock) -> None:
        site = AdminSite(clock, public_url="https://stats.example.com/dm/")
        made = invite(site.signed_in())
        assert made["link"].startswith("https://stats.example.com/dm/password?link=")


MAIL = Mail(GUEST, "Subject", "text", "<p>html</p>")


class TestTheMailer:
    def test_it_signs_in(self, smtp: str, inbox: Inbox) -> None:
        SmtpMailer(f"smtp://us%40er:p%40ss@{smtp}", "a@b.c").send(MAIL)
        assert inbox.users == [(b"us@er", b"p@ss")]
        assert len(inbox.mails) == 1

    @pytest.mark.parametrize("to", ["a,b@c.d", "x<b@c.d", "a;b:c@c.d", "a b@c.d", 'a"b@c.d'])
    def test_nobody_else_gets_it(self, smtp: str, inbox: Inbox, to: str) -> None:
        SmtpMailer(f"smtp://{smtp}", "a@b.c").send(replace(MAIL, to=to))
        (recipient,) = inbox.recipients
        name, _, domain = to.rpartition("@")
        assert Address(addr_spec=recipient) == Address(username=name, domain=domain)

    def test_a_wrong_password(self, smtp: str) -> None:
        with pytest.raises(MailNotSent, match="refused the user name or password"):
            SmtpMailer(f"smtp://user:secret@{smtp}", "a@b.c").send(MAIL)

    def test_no_server(self) -> None:
        with pytest.raises(MailNotSent, match="connection refused"):
            SmtpMailer(f"smtp://127.0.0.1:{free_port()}", "a@b.c").send(MAIL)

    def test_no_password_in_the_clear(self, smtp: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dmstats.ops.mail.is_loopback", lambda _: False)
        with pytest.raises(MailNotSent, match="does not support encryption"):
            SmtpMailer(f"smtp://user:p%40ss@{smtp}", "a@b.c").send(MAIL)

    def test_smtps_wants_a_certificate(self, smtp: str) -> None:
        with pytest.raises(MailNotSent, match="TLS"):
            SmtpMailer(f"smtps://{smtp}", "a@b.c").send(MAIL)


def test_nothing_of_a_name_is_markup() -> None:
    mail = link_mail(GUEST, 'https://x/?a="><script>', "2026-11-27T12:34:56.000Z", invited=True)
    assert "<script>" not in mail.html
    assert "2026-11-27 12:34 UTC" in mail.text


def test_the_page_is_in_step_with_the_rule() -> None:
    static = Path(__file__).parents[2] / "static"
    for page in ("password.html", "admins.html"):
        assert 'minlength="8"' in (static / page).read_text()
