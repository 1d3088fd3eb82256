from __future__ import annotations

import argon2
import pytest

from dmstats.core.clock import ManualClock
from dmstats.core.errors import BadRequest, NotFound
from dmstats.db.admins.admin_store import AdminStore, EmailTaken
from dmstats.db.admins.passwords import Passwords
from dmstats.db.client import Mongo
from tests.service.admin_site import EMAIL, PASSWORD, cheap_passwords, mock_mongo


@pytest.fixture
def mongo() -> Mongo:
    return mock_mongo()


@pytest.fixture
def admins(mongo: Mongo, clock: ManualClock) -> AdminStore:
    return AdminStore(mongo, cheap_passwords(), clock)


def test_it_works(admins: AdminStore) -> None:
    admin = admins.create(f"  {EMAIL.title()}", PASSWORD)
    assert (admin.email, admin.disabled, admin.session_epoch) == (EMAIL, False, 1)
    assert admin.created_at == "2026-11-15T12:34:56.000Z"
    assert admins.list() == [admin]
    assert admins.verify(EMAIL.upper(), PASSWORD) == admin
    assert admins.verify(EMAIL, PASSWORD + "!") is None
    assert admins.verify("unknown@example.com", PASSWORD) is None


def test_no_two_admins_with_one_email(admins: AdminStore) -> None:
    admins.create(EMAIL, PASSWORD)
    with pytest.raises(EmailTaken):
        admins.create(EMAIL.upper(), PASSWORD)


@pytest.mark.parametrize("email", ["", "ada", "a b@c", "@", "a@b@c", "a@" + "b" * 300, "a\x00@b"])
def test_what_is_no_email(admins: AdminStore, email: str) -> None:
    with pytest.raises(BadRequest):
        admins.create(email, PASSWORD)
    assert admins.verify(email, PASSWORD) is None


def test_the_first_admin_is_made_once(admins: AdminStore) -> None:
    assert admins.first(EMAIL, PASSWORD)
    assert admins.verify(EMAIL, PASSWORD)
    assert not admins.first("other@example.com", PASSWORD + "!")
    assert len(admins.list()) == 1


def test_an_existing_admin_prevents_a_first_one(admins: AdminStore) -> None:
    admins.create(EMAIL, PASSWORD)
    assert not admins.first(EMAIL, PASSWORD)


def test_whatever_changes_an_admin_ends_the_sessions(admins: AdminStore) -> None:
    admin = admins.create(EMAIL, PASSWORD)
    admins.create("grace@example.com", PASSWORD)
    changed = admins.change_password(admin.id, "a quite new password")
    assert changed.session_epoch == 2
    assert admins.verify(EMAIL, "a quite new password") == changed
    assert admins.verify(EMAIL, PASSWORD) is None
    disabled = admins.set_disabled(admin.id, disabled=True)
    assert (disabled.disabled, disabled.session_epoch) == (True, 3)
    assert admins.verify(EMAIL, "a quite new password") is None
    assert admins.set_disabled(admin.id, disabled=False).session_epoch == 4
    assert admins.verify(EMAIL, "a quite new password")


@pytest.mark.parametrize("admin_id", ["", "x", "0" * 24, "{'$ne': 1}"])
def test_an_unknown_admin(admins: AdminStore, admin_id: str) -> None:
    with pytest.raises(NotFound):
        admins.set_disabled(admin_id, disabled=True)
    with pytest.raises(NotFound):
        admins.change_password(admin_id, PASSWORD)


def hash_in(mongo: Mongo) -> str:
    return str((mongo.db["dmstats_admins"].find_one() or {})["passwordHash"])


def test_an_old_hash_is_renewed_at_sign_in(mongo: Mongo, admins: AdminStore) -> None:
    before = admins.create(EMAIL, PASSWORD)
    old = hash_in(mongo)
    stronger = Passwords(argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    assert AdminStore(mongo, stronger).verify(EMAIL, PASSWORD) == before, "no session ends"
    new = hash_in(mongo)
    assert new != old
    assert not stronger.outdated(new)
    assert AdminStore(mongo, stronger).verify(EMAIL, PASSWORD)
    assert hash_in(mongo) == new


def test_the_hash_never_leaves_the_store(admins: AdminStore) -> None:
    admin = admins.create(EMAIL, PASSWORD)
    assert "argon2" not in repr(admin) + repr(admins.list())
