"""deploy/nginx.conf in a real nginx: deliveries keep their signature, streams are not held back."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launched import Started
from tests.live.conftest import TOKEN
from tests.proxy import example, nginx
from tests.servers import free_port, wait_until
from tests.visitor import WEBHOOK, delivery

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not nginx(), reason="needs nginx, of which there is no package here"),
]


@pytest.fixture(scope="module")
def proxy(service: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an nginx with the example's configuration; only ports and paths are others."""
    folder = tmp_path_factory.mktemp("nginx")
    port, plain = free_port(), free_port()
    program = nginx()
    assert program
    text = re.sub(r"^ *listen \[::\].*\n", "", example(folder, program), flags=re.MULTILINE)
    for old, new in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "127.0.0.1:8000": f"127.0.0.1:{service.environ['PORT']}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "conf").write_text(
        f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {temporary} {text} }}"
    )
    server = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "conf"), "-e", str(folder / "log")]
    )

    def answers() -> bool:
        assert server.poll() is None, (folder / "log").read_text()
        try:
            with ask(port, "GET", "/healthz") as answer:
                return answer.status == 200
        except OSError:
            return False

    try:
        wait_until(answers)
        yield port
    finally:
        server.terminate()
        server.wait(10)


def trusting() -> ssl.SSLContext:
    """Takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.contextmanager
def ask(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trusting())
    connection.request(
        method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def test_it_works(proxy: int, service: Started) -> None:
    folder = Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets"
    secret = (folder / "META_APP_SECRET").read_text().strip().encode()
    body = json.dumps(delivery(mid="through-nginx"), indent=3).encode()
    signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    with ask(proxy, "POST", WEBHOOK, body, X_Hub_Signature_256=signature) as answer:
        assert answer.status == 200
        assert json.load(answer)["received"] == 1
        assert len(answer.headers["X-Request-ID"]) == 32  # nginx' own


def test_a_stream_is_not_held_back(proxy: int) -> None:
    started = time.monotonic()
    path = "/api/admin/stats/stream"
    with ask(proxy, "GET", path, Authorization=f"Bearer {TOKEN}") as answer:
        assert answer.status == 200
        assert answer.readline().startswith(b"retry:")
        lines = [answer.readline() for _ in range(4)]
        assert any(line.startswith(b"event:") for line in lines)
    assert time.monotonic() - started < 15


def test_browsers_speak_http2(proxy: int) -> None:
    browser = trusting()
    browser.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", proxy), timeout=20) as connection,
        browser.wrap_socket(connection) as secured,
    ):
        assert secured.selected_alpn_protocol() == "h2"


def test_metrics_are_not_for_the_world(proxy: int) -> None:
    tokens: list[dict[str, str]] = [{}, {"Authorization": f"Bearer {TOKEN}"}]
    for token in tokens:
        with ask(proxy, "GET", "/metrics", None, **token) as answer:
            assert answer.status == 404


def test_a_claimed_address_does_not_pass(proxy: int) -> None:
    with ask(proxy, "GET", "/api/openapi.json", X_Forwarded_For="127.0.0.1") as answer:
        assert answer.status == 401
