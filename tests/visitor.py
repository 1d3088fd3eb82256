"""A client of the running service, for tests."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
from typing import Any

from tests.launched import Started

TEXT = "meet me at the old pier"
PERSON = "90071992547409931"
WEBHOOK = "/api/webhooks/instagram"


class Visitor:
    """Asks the running service, one connection per request."""

    def __init__(self, service: Started) -> None:
        self.port = int(service.environ["PORT"])
        self.cookie = ""
        self.bodies: list[str] = []

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            named["Cookie"] = self.cookie
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        self.bodies.append(answer.read().decode())
        connection.close()
        return answer

    def sign_in(self, email: str, password: str) -> int:
        body = json.dumps({"email": email, "password": password}).encode()
        answer = self.ask("POST", "/login", body, Content_Type="application/json")
        self.cookie = (answer.headers.get("Set-Cookie") or "").partition(";")[0]
        return answer.status

    def deliver(self, payload: object, secret: str) -> int:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        answer = self.ask("POST", WEBHOOK, body, X_Hub_Signature_256=f"sha256={digest}")
        return answer.status


def delivery(*, text: Any = TEXT, mid: Any = "m-of-the-test", account: str = "1784") -> Any:
    item = {
        "sender": {"id": PERSON},
        "recipient": {"id": account},
        "timestamp": 1_700_000_000_000,
        "message": {"mid": mid, "text": text},
    }
    return {"object": "instagram", "entry": [{"id": account, "time": 1, "messaging": [item]}]}
