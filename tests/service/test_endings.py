"""What ends which sessions: each change of a person's rights and credentials, by whomever."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest
from flask.testing import FlaskClient

from dmstats.cli.admin_commands import reset_password, reset_second_factor
from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.roles import Role
from dmstats.db.admins.session_store import session_key
from dmstats.web.auth.access import ACCESS
from tests.service.admin_site import EMAIL, PASSWORD, AdminSite
from tests.service.test_passkeys import added
from tests.service.test_second_factor import set_up

OTHER = "grace@example.com"
OWN = {"currentPassword": PASSWORD}
ME, ADMINS = "/api/admin/me", "/api/admin/admins"


class Team:
    """Ada in two browsers, and Grace, another admin, in one."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.site = AdminSite(clock)
        self.ada, self.grace = (self.site.admins.create(each, PASSWORD) for each in (EMAIL, OTHER))
        self.here, self.hers = self.browser(EMAIL), self.browser(OTHER)

    def browser(self, email: str) -> FlaskClient:
        """With an open session, whatever factors the person has."""
        client = self.site.client()
        with client.session_transaction() as cookie:
            cookie["token"] = self.site.sessions.open(self.site.admins.find(email))
        return client

    def post(self, path: str, **more: object) -> None:
        """What Ada does herself."""
        answer = self.here.post(f"{ME}{path}", json={**OWN, **more})
        assert answer.status_code < 300, answer.text

    def by_grace(self, verb: str, **more: object) -> None:
        answer = self.hers.post(f"{ADMINS}/{self.ada.id}/{verb}", json=more)
        assert answer.status_code == 200, answer.text

    def app(self) -> None:
        set_up(self.here, self.clock)

    def passkey(self) -> None:
        added(self.here)

    def without_passkey(self) -> None:
        """Removes the newest one."""
        newest = self.site.passkeys.list(self.ada.id)[-1]
        self.post(f"/passkeys/{newest.id}/remove")

    def by_link(self) -> None:
        link = self.site.admins.make_link(self.ada.id)[1].token
        sent = {"link": link, "password": "another horse battery"}
        assert self.site.client().post("/password", json=sent).status_code == 200

    def command(self, command: click.Command, typed: str = "") -> None:
        runner = self.site.app.test_cli_runner()
        done = runner.invoke(command, [EMAIL], input=typed)
        assert done.exit_code == 0, done.output


Step = Callable[[Team], object]
NOTHING: tuple[Step, ...] = ()
NEW = "another horse battery"
FACTOR, RESET = "/second-factor", "remove-second-factor"

ENDING: dict[str, tuple[tuple[Step, ...], Step, bool]] = {
    "the own password": (NOTHING, lambda t: t.post("/password", password=NEW), True),
    "the first app": (NOTHING, Team.app, True),
    "the first passkey": (NOTHING, Team.passkey, True),
    "a new app": ((Team.app,), Team.app, True),
    "an app beside a passkey": ((Team.passkey,), Team.app, True),
    "removing the app": ((Team.app,), lambda t: t.post(f"{FACTOR}/remove"), True),
    "removing it beside a passkey":
        ((Team.app, Team.passkey), lambda t: t.post(f"{FACTOR}/remove"), True),
    "removing the last passkey": ((Team.passkey,), Team.without_passkey, True),
    "removing one of two": ((Team.passkey, Team.passkey), Team.without_passkey, True),
    "removing it beside an app": ((Team.app, Team.passkey), Team.without_passkey, True),
    "new recovery codes": ((Team.app,), lambda t: t.post(f"{FACTOR}/recovery-codes"), True),
    "those of a passkey": ((Team.passkey,), lambda t: t.post(f"{FACTOR}/recovery-codes"), True),
    "signing out everywhere": (NOTHING, lambda t: t.post("/sign-out"), False),
    "being disabled": (NOTHING, lambda t: t.by_grace("disable"), False),
    "being enabled": (NOTHING, lambda t: t.by_grace("enable"), False),
    "being demoted": (NOTHING, lambda t: t.by_grace("role", role="viewer"), False),
    "being promoted":
        ((lambda t: t.site.mongo.db["dmstats_admins"].update_one({"email": EMAIL},
          {"$set": {"role": "viewer"}}),), lambda t: t.by_grace("role", role="operator"), False),
    "being signed out": (NOTHING, lambda t: t.by_grace("sign-out"), False),
    "a password by an admin":
        (NOTHING, lambda t: t.by_grace("password", password=NEW, **OWN), False),
    "a reset of the factor": ((Team.app,), lambda t: t.by_grace(RESET, **OWN), False),
    "a reset of the passkeys": ((Team.passkey,), lambda t: t.by_grace(RESET, **OWN), False),
    "a password by a link": (NOTHING, Team.by_link, False),
    "a password by the command": (NOTHING, lambda t: t.command(reset_password, f"{NEW}\n"), False),
    "a reset by the command":
        ((Team.app, Team.passkey), lambda t: t.command(reset_second_factor), False),
    "another role at the provider":
        (NOTHING, lambda t: t.site.admins.set_role(t.ada.id, Role.OPERATOR), False),
    "no role at the provider": (NOTHING, lambda t: t.site.admins.refuse(t.ada.id), False),
}  # fmt: skip
"""Each ending: what comes before, what ends the sessions, whether the browser of it goes on."""

KEEPING: dict[str, tuple[tuple[Step, ...], Step]] = {
    "a passkey beside an app": ((Team.app,), Team.passkey),
    "a second passkey": ((Team.passkey,), Team.passkey),
    "an offer of an app": (NOTHING, lambda t: t.post(FACTOR)),
    "a link that is not used": (NOTHING, lambda t: t.by_grace("link", **OWN)),
    "a role of before": (NOTHING, lambda t: t.by_grace("role", role="admin")),
}
"""These take nothing away."""


def keys(client: FlaskClient) -> set[str]:
    """What the streams of that browser depend on."""
    with client.session_transaction() as cookie:
        return {session_key(cookie["token"])}


def statuses(*clients: FlaskClient) -> list[int]:
    return [client.get(ME).status_code for client in clients]


@pytest.mark.parametrize("name", ENDING)
def test_it_ends_the_other_sessions_and_their_streams(clock: ManualClock, name: str) -> None:
    """And it is in the activity log."""
    before, ending, goes_on = ENDING[name]
    team = Team(clock)
    for step in before:
        step(team)
    there, authenticator = team.browser(EMAIL), team.site.app.extensions["dmstats"].authenticator
    old, hers = keys(team.here) | keys(there), keys(team.hers)
    assert statuses(team.here, there, team.hers) == [200, 200, 200]
    assert authenticator.ended(old | hers) == set()
    entries = team.site.mongo.db["dmstats_activity_log"]
    logged = entries.count_documents({})
    ending(team)
    assert entries.count_documents({}) > logged or "at the provider" in name
    assert authenticator.ended(old | hers) == old, "the browser of it has a new one"
    assert statuses(there, team.here, team.hers) == [401, 200 if goes_on else 401, 200]


@pytest.mark.parametrize("name", KEEPING)
def test_what_takes_nothing_away_ends_nothing(clock: ManualClock, name: str) -> None:
    before, step = KEEPING[name]
    team = Team(clock)
    for each in before:
        each(team)
    there = team.browser(EMAIL)
    step(team)
    assert statuses(team.here, there, team.hers) == [200, 200, 200]


def test_signing_out_ends_one_session(clock: ManualClock) -> None:
    team = Team(clock)
    there = team.browser(EMAIL)
    assert team.here.post("/logout", json={}).status_code == 204
    assert statuses(team.here, there, team.hers) == [401, 200, 200]


def test_every_route_that_changes_a_person_is_one_of_these() -> None:
    """A new one has to be added above, or here if it ends nothing."""
    changing = {
        operation.removeprefix("POST /api/admin/")
        for operation in ACCESS
        if operation.startswith(("POST /api/admin/me/", "POST /api/admin/admins/<"))
    }
    assert changing == {
        "me/password", "me/sign-out", "me/second-factor", "me/second-factor/confirm",
        "me/second-factor/remove", "me/second-factor/recovery-codes", "me/passkeys/options",
        "me/passkeys", "me/passkeys/<passkey_id>/remove",
        *(f"admins/<admin_id>/{verb}" for verb in ("link", "role", "disable", "enable", "sign-out",
                                                   "password", "remove-second-factor")),
    }  # fmt: skip


def test_a_removal_that_could_not_end_them_says_so(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the answer has recovery codes, they come first."""
    team = Team(clock)
    team.app()

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(AdminStore, "sign_out_everywhere", away)
    removed = team.here.post(f"{ME}{FACTOR}/remove", json=OWN)
    assert removed.status_code == 503
    monkeypatch.undo()
    team.post(f"{FACTOR}/remove")
    team.app()
    monkeypatch.setattr(AdminStore, "sign_out_everywhere", away)
    made = team.here.post(f"{ME}{FACTOR}/recovery-codes", json=OWN)
    assert len(made.get_json()["recoveryCodes"]) == 10
