"""What WebAuthn wants said and checked, by the library of that name. Pure.

Importing the library takes 0.3 s: use :func:`dmstats.web.auth.passkey_sign_in.ceremonies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from dmstats.db.admins.passkeys import CHALLENGE_MS, Passkey
from dmstats.web.auth.passkey_site import PasskeyRefused, PasskeySite

NAME = "dmstats"
VERIFY = UserVerificationRequirement.REQUIRED
"""A finger, a face or a PIN as well: so that a passkey is two factors."""

MAX_REASON_LENGTH = 200

BAD = (WebAuthnException, ValueError, TypeError, KeyError, IndexError, OverflowError)
"""What the library raises about an answer that is none."""


def creation_options(
    site: PasskeySite, admin_id: str, email: str, challenge: bytes, known: Sequence[Passkey]
) -> dict[str, Any]:
    """What ``navigator.credentials.create()`` is called with, as JSON."""
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name=NAME,
        user_name=email,
        user_id=bytes.fromhex(admin_id),
        challenge=challenge,
        timeout=CHALLENGE_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=VERIFY
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.credential)) for each in known
        ],
    )
    return options_to_json_dict(options)


def created(answer: dict[str, Any], challenge: bytes, site: PasskeySite) -> tuple[str, bytes, int]:
    """The credential's id (base64url), its public key, and its counter.

    Raises :class:`PasskeyRefused`.
    """
    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except BAD as error:
        raise _refused("The passkey could not be added. Try again.", error) from None
    return bytes_to_base64url(made.credential_id), made.credential_public_key, made.sign_count


def request_options(site: PasskeySite, challenge: bytes) -> dict[str, Any]:
    """What ``navigator.credentials.get()`` is called with, as JSON."""
    options = webauthn.generate_authentication_options(
        rp_id=site.host, challenge=challenge, timeout=CHALLENGE_MS, user_verification=VERIFY
    )
    return options_to_json_dict(options)


def person_of(answer: dict[str, Any]) -> str:
    """The id of whose passkey it claims to be, which :func:`creation_options` has given it.

    Empty for an answer that is none.
    """
    response = answer.get("response")
    handle = response.get("userHandle") if isinstance(response, dict) else None
    try:
        return base64url_to_bytes(handle).hex() if isinstance(handle, str) else ""
    except ValueError:
        return ""


def signed(answer: dict[str, Any], challenge: bytes, site: PasskeySite, passkey: Passkey) -> int:
    """The passkey's counter after it has signed the challenge.

    Raises :class:`PasskeyRefused`, also for a counter that has not gone up: then there is a copy.
    """
    try:
        proved = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=passkey.key,
            credential_current_sign_count=passkey.uses,
            require_user_verification=True,
        )
    except BAD as error:
        raise _refused("The passkey could not be verified. Try again.", error) from None
    return proved.new_sign_count


def _refused(words: str, error: BaseException) -> PasskeyRefused:
    return PasskeyRefused(words, reason=f"{type(error).__name__}: {error}"[:MAX_REASON_LENGTH])
