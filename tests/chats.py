"""Chats and a pager that are as strict as the real ones, under their real names.

A proxy leads ``https://hooks.slack.com`` and the others to one server on this machine, which has a
certificate for all of them: programs need only ``HTTPS_PROXY`` and ``REQUESTS_CA_BUNDLE``.
"""

from __future__ import annotations

import html.parser
import json
import re
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

HOSTS = {
    "slack": "hooks.slack.com",
    "discord": "discord.com",
    "gchat": "chat.googleapis.com",
    "telegram": "api.telegram.org",
    "pagerduty": "events.pagerduty.com",
}
HANG_SECONDS = 30.0

Answer = tuple[int, dict[str, str], str]


class Refused(Exception):
    """The real service answers 400 to this."""


def _require(*, holds: bool, why: str) -> None:
    if not holds:
        raise Refused(why)


def slack(path: str, body: dict[str, Any]) -> Answer:
    _require(holds=re.fullmatch(r"/services/T\w+/B\w+/\w{24}", path) is not None, why="no_service")
    known = {"text", "attachments", "blocks", "username", "icon_url", "icon_emoji", "channel",
             "mrkdwn", "link_names", "unfurl_links", "unfurl_media", "response_type"}  # fmt: skip
    _require(holds=body.keys() <= known, why=f"invalid_payload: {sorted(body.keys() - known)}")
    texts = [body.get("text"), *(part.get("text") for part in body.get("attachments", []))]
    _require(holds=any(isinstance(text, str) and text for text in texts), why="no_text")
    return 200, {"Content-Type": "text/plain"}, "ok"


def discord(path: str, body: dict[str, Any]) -> Answer:
    _require(holds=re.fullmatch(r"/api/webhooks/\d{17,20}/[\w-]{60,}", path) is not None, why=path)
    content, embeds = body.get("content", ""), body.get("embeds", [])
    _require(holds=bool(content or embeds), why="Cannot send an empty message")
    _require(holds=len(content) <= 2000 and len(embeds) <= 10, why="too long")
    for embed in embeds:
        _require(holds=len(embed.get("description", "")) <= 4096, why="BASE_TYPE_MAX_LENGTH")
    return 204, {}, ""


def gchat(path: str, body: dict[str, Any]) -> Answer:
    parts = urlsplit(path)
    query = parse_qs(parts.query)
    _require(holds=re.fullmatch(r"/v1/spaces/\w+/messages", parts.path) is not None, why=path)
    _require(holds={"key", "token"} <= query.keys(), why="PERMISSION_DENIED")
    known = {"text", "cardsV2", "thread", "formattedText", "fallbackText", "annotations"}
    _require(holds=body.keys() <= known, why="INVALID_ARGUMENT: Unknown name")
    _require(holds=0 < len(body.get("text", "")) <= 4096, why="Message cannot be empty")
    return 200, {"Content-Type": "application/json"}, json.dumps({"name": "spaces/x/messages/y"})


class _TelegramHtml(html.parser.HTMLParser):
    TAGS = frozenset({"b", "strong", "i", "em", "u", "s", "a", "code", "pre", "blockquote"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        _require(holds=tag in self.TAGS, why=f"can't parse entities: Unsupported start tag {tag}")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        _require(holds=bool(self.open) and self.open.pop() == tag, why="can't parse entities")


def telegram(path: str, body: dict[str, Any]) -> Answer:
    _require(holds=re.fullmatch(r"/bot\d+:[\w-]{35}/sendMessage", path) is not None, why="method")
    _require(holds=body.get("chat_id") not in (None, ""), why="chat_id is empty")
    _require(holds=0 < len(body.get("text", "")) <= 4096, why="message text is empty")
    _require(holds=body.get("parse_mode") in (None, "HTML", "MarkdownV2", "Markdown"), why="mode")
    if body.get("parse_mode") == "HTML":
        parser = _TelegramHtml()
        parser.feed(body["text"])
        _require(holds=not parser.open, why="can't parse entities: Can't find end tag")
    return (
        200,
        {"Content-Type": "application/json"},
        json.dumps({"ok": True, "result": {"message_id": 1, "chat": {"id": 1}}}),
    )


def pagerduty(path: str, body: dict[str, Any]) -> Answer:
    _require(holds=path == "/v2/enqueue", why=path)
    _require(holds=re.fullmatch(r"\w{32}", body.get("routing_key", "")) is not None, why="key")
    action = body.get("event_action")
    _require(holds=action in ("trigger", "acknowledge", "resolve"), why="event_action")
    _require(holds=action == "trigger" or bool(body.get("dedup_key")), why="dedup_key")
    _require(holds=len(body.get("dedup_key", "")) <= 255, why="dedup_key")
    if action == "trigger":
        payload = body.get("payload", {})
        _require(holds=0 < len(payload.get("summary", "")) <= 1024, why="summary")
        _require(holds=bool(payload.get("source")), why="source")
        severities = ("critical", "warning", "error", "info")
        _require(holds=payload.get("severity") in severities, why="severity")
    return 202, {"Content-Type": "application/json"}, json.dumps({"status": "success"})


SERVICES: dict[str, Callable[[str, dict[str, Any]], Answer]] = {
    HOSTS["slack"]: slack,
    HOSTS["discord"]: discord,
    HOSTS["gchat"]: gchat,
    HOSTS["telegram"]: telegram,
    HOSTS["pagerduty"]: pagerduty,
}


class Chats:
    """``accepted`` and ``refused`` by host; ``script`` has the next answers by path, each a status
    with headers and a body, or "hang"."""

    def __init__(self, folder: Path) -> None:
        self.accepted: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.refused: dict[str, list[str]] = defaultdict(list)
        self.asked: list[str] = []
        self.script: dict[str, list[Answer | str]] = defaultdict(list)
        self.over = threading.Event()
        authority = trustme.CA()
        self.bundle = folder / "chats.pem"
        authority.cert_pem.write_to_path(self.bundle)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(*HOSTS.values()).configure_cert(context)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.proxy = socket.create_server(("127.0.0.1", 0))

    @property
    def environ(self) -> dict[str, str]:
        """What a program needs to get here."""
        proxy = f"http://127.0.0.1:{self.proxy.getsockname()[1]}"
        return {"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(self.bundle)}

    def answer(self, host: str, path: str, kind: str, body: bytes) -> Answer | str:
        self.asked.append(path)
        if self.script[path]:
            return self.script[path].pop(0)
        try:
            _require(holds=kind.startswith("application/json"), why=f"Content-Type {kind}")
            content = json.loads(body)
            found = SERVICES[host](path, content)
        except (Refused, ValueError) as error:
            self.refused[host].append(str(error))
            return 400, {"Content-Type": "text/plain"}, str(error)
        self.accepted[host].append(content)
        return found

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        chats = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind, host = self.headers.get("Content-Type", ""), self.headers["Host"]
                self._reply(chats.answer(host, self.path, kind, body))

            def do_GET(self) -> None:
                # Where redirects lead: a sign-in page, which anybody gets.
                chats.asked.append(f"GET {self.path}")
                self._reply((200, {"Content-Type": "text/html"}, "<h1>Sign in</h1>"))

            def _reply(self, answer: Answer | str) -> None:
                if isinstance(answer, str):
                    chats.over.wait(HANG_SECONDS)
                    return
                status, headers, text = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: object) -> None:
                """Quiet."""

        return Handler

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.proxy.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            host = head.split()[1].decode().rpartition(":")[0]
            if not head.startswith(b"CONNECT ") or host not in SERVICES:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self.server.server_port)) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()
                _pump(client, server)
                time.sleep(0.2)  # what the server still has to say


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)


@contextmanager
def chats(folder: Path) -> Iterator[Chats]:
    """The chats, until the end of the context."""
    found = Chats(folder)
    threads = [
        threading.Thread(target=found.server.serve_forever, args=(0.05,)),
        threading.Thread(target=found._accept, daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.over.set()
        found.server.shutdown()
        found.server.server_close()
        with suppress(OSError):
            found.proxy.shutdown(socket.SHUT_RDWR)
        found.proxy.close()
        threads[0].join()
