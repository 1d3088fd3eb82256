"""The second factor of a sign-in: codes of an authenticator app (TOTP), and recovery codes, which
replace the app or a passkey.

Everything is in the person's document. Recovery codes are stored as digests: 80 random bits need no
slow hash. The app's secret must be readable, and is stored sealed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pyotp
from bson import ObjectId

from dmstats.core.clock import MINUTE_MS, Clock, to_datetime
from dmstats.core.errors import BadRequest, NotFound
from dmstats.core.sealed import Sealer, Unsealable, is_sealed
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ADMINS

logger = logging.getLogger(__name__)

ISSUER = "dmstats"
OFFER_MS = 15 * MINUTE_MS
"""How long the set-up may take."""

RECOVERY_CODES = 10
RECOVERY_FIELDS = ("recovery", "totp.recovery")
"""The second is where earlier releases kept their digests."""

STEPS_AWAY = 1
"""A code of the 30 s before or after is accepted: clocks differ."""

SEPARATORS = re.compile(r"[\s-]+")


class UsedCode(StrEnum):
    """What a code turned out to be."""

    APP = "app"
    RECOVERY = "recovery"


class SecondFactors:
    """Sets up, checks and removes; every method may raise :class:`StoreUnavailable`.

    The apps' secrets are sealed with ``secret_key``. Earlier releases stored them unsealed: such a
    secret is sealed when one of its codes is used.
    """

    def __init__(self, mongo: Mongo, clock: Clock, secret_key: str) -> None:
        self._people = mongo.db[ADMINS]
        self._clock = clock
        self._sealer = Sealer(secret_key, "second factors")

    def offer(self, admin_id: str) -> str:
        """A new secret for the person's app; it takes effect after :meth:`confirm`."""
        secret = pyotp.random_base32()
        ends = to_datetime(self._clock.now_ms() + OFFER_MS)
        with translated():
            done = self._people.update_one(
                {"_id": ObjectId(admin_id)},
                {"$set": {"totpOffer": {"secret": self._sealed(secret, admin_id), "endsAt": ends}}},
            )
        if not done.matched_count:
            raise NotFound("This person does not exist.")
        return secret

    def confirm(self, admin_id: str, code: str) -> list[str]:
        """Activate the new secret, verified by a ``code``. Returns ten recovery codes, which
        replace earlier ones and are not stored in plain text.

        Raises :class:`BadRequest`.
        """
        offer = typed.document(self._read(admin_id, "totpOffer"))
        stored, ends = typed.text(offer.get("secret")), typed.moment(offer.get("endsAt"))
        if stored is None or ends is None or ends <= self._clock.now_ms():
            raise BadRequest("The setup took too long. Please start again.")
        step = self._step_of(stored, code, admin_id)
        if step is None:
            raise BadRequest("This code is not correct. Check the phone's clock.")
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        made = {
            "totp": {
                "secret": stored,
                "since": to_datetime(self._clock.now_ms()),
                "lastStep": step,
            },
            "recovery": [_digest(each) for each in codes],
        }
        wanted = {"_id": ObjectId(admin_id), "totpOffer.secret": stored}
        with translated():
            done = self._people.update_one(wanted, {"$set": made, "$unset": {"totpOffer": ""}})
        if not done.matched_count:
            raise BadRequest("The setup was started again in another window.")
        return codes

    def new_recovery_codes(self, admin_id: str) -> list[str]:
        """Ten recovery codes, which are not stored; they replace earlier ones."""
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        made = {
            "$set": {"recovery": [_digest(each) for each in codes]},
            "$unset": {"totp.recovery": ""},
        }
        with translated():
            self._people.update_one({"_id": ObjectId(admin_id)}, made)
        return codes

    def forget_recovery_codes(self, admin_id: str) -> None:
        """Delete the codes of a person without a second factor."""
        none = {"totp": {"$exists": False}}
        no_passkeys = [{"passkeys": {"$exists": False}}, {"passkeys": {"$size": 0}}]
        with translated():
            self._people.update_one(
                {"_id": ObjectId(admin_id), **none, "$or": no_passkeys},
                {"$unset": {"recovery": ""}},
            )

    def check(self, admin_id: str, code: str) -> UsedCode | None:
        """Consume ``code``; None if it is not correct, or was used before."""
        key, plain = ObjectId(admin_id), SEPARATORS.sub("", code).lower()
        for field in RECOVERY_FIELDS:
            used = {field: _digest(plain)}
            with translated():
                done = self._people.update_one({"_id": key, **used}, {"$pull": used})
            if done.modified_count:
                return UsedCode.RECOVERY
        stored = typed.text(typed.document(self._read(admin_id, "totp")).get("secret"))
        step = self._step_of(stored, plain, admin_id) if stored else None
        if stored is None or step is None:
            return None
        change: Document = {"totp.lastStep": step}
        if not is_sealed(stored):
            change["totp.secret"] = self._sealed(stored, admin_id)
        # A code that somebody has seen being typed must not work again. A last step that no clock
        # allows now was used while this clock was ahead, and says nothing.
        later: Document = {
            "$or": [
                {"totp.lastStep": {"$lt": step}},
                {"totp.lastStep": {"$gt": step + 2 * STEPS_AWAY}},
                {"totp.lastStep": None},
            ]
        }
        with translated():
            done = self._people.update_one(
                {"_id": key, "totp.secret": stored, **later}, {"$set": change}
            )
        return UsedCode.APP if done.modified_count else None

    def remove(self, admin_id: str) -> None:
        """Remove the second factor; raises :class:`NotFound`."""
        if not ObjectId.is_valid(admin_id):
            raise NotFound("This person does not exist.")
        over = {"$unset": {"totp": "", "totpOffer": ""}}
        with translated():
            done = self._people.update_one({"_id": ObjectId(admin_id)}, over)
        if not done.matched_count:
            raise NotFound("This person does not exist.")
        self.forget_recovery_codes(admin_id)

    def _read(self, admin_id: str, field: str) -> Any:
        with translated():
            found = self._people.find_one({"_id": ObjectId(admin_id)}, {field: 1})
        return (found or {}).get(field)

    def _sealed(self, secret: str, admin_id: str) -> str:
        return self._sealer.seal(secret, admin_id)

    def _step_of(self, stored: str, code: str, admin_id: str) -> int | None:
        """The time step of the code; None if it is not currently valid."""
        sent = SEPARATORS.sub("", code).encode()
        try:
            totp = pyotp.TOTP(self._sealer.open(stored, admin_id))
        except Unsealable:
            logger.warning("second_factor_unreadable", extra={"admin": admin_id})
            return None
        except ValueError:  # a damaged secret
            return None
        now = totp.timecode(datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC))
        for step in range(now + STEPS_AWAY, now - STEPS_AWAY - 1, -1):
            if hmac.compare_digest(totp.generate_otp(step).encode(), sent):
                return step
        return None


def app_address(secret: str, email: str) -> str:
    """The ``otpauth:`` address that an app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, 16, 4))


def _digest(code: str) -> str:
    return hashlib.sha256(SEPARATORS.sub("", code).encode()).hexdigest()
