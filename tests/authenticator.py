"""A passkey's authenticator and the browser around it, in software."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 1, 4, 64
JSON = dict[str, Any]


def text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(encoded: str) -> bytes:
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


class Authenticator:
    """Makes one passkey and signs with it, for the page at ``origin``; ``counts`` as security keys
    do, while phones stay at 0."""

    def __init__(self, origin: str = "http://localhost", *, counts: bool = True) -> None:
        self.origin = origin
        self.flags = PRESENT | VERIFIED
        self.counts = counts
        self.uses = 0
        self.credential = secrets.token_bytes(16)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.handle = b""
        self.host = ""

    def create(self, options: JSON) -> JSON:
        """What ``navigator.credentials.create()`` answers, as JSON."""
        self.host, self.handle = options["rp"]["id"], raw(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        public = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        )
        length = len(self.credential).to_bytes(2)
        attested = bytes(16) + length + self.credential + public
        data = self._data(self.flags | ATTESTED) + attested
        made = {"fmt": "none", "attStmt": {}, "authData": data}
        return self._answer(
            clientDataJSON=self._client_data("webauthn.create", options["challenge"]),
            attestationObject=cbor2.dumps(made),
        )

    def get(self, options: JSON) -> JSON:
        """What ``navigator.credentials.get()`` answers, as JSON."""
        self.uses += self.counts
        data = self._data(self.flags)
        client = self._client_data("webauthn.get", options["challenge"])
        signed = data + hashlib.sha256(client).digest()
        return self._answer(
            clientDataJSON=client,
            authenticatorData=data,
            signature=self.key.sign(signed, ec.ECDSA(hashes.SHA256())),
            userHandle=self.handle,
        )

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + self.uses.to_bytes(4)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _answer(self, **response: bytes) -> JSON:
        name = text(self.credential)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {key: text(value) for key, value in response.items()},
        }
