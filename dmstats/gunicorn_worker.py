"""Gunicorn's gevent worker with a shortcut for the usual delivery of a webhook.

Parsing a request, building its environ and writing the answer are three quarters of what a delivery
costs in Gunicorn. This worker recognises exactly the usual delivery, which must have arrived as a
whole, and answers it in one write. Everything else is given to Gunicorn unread. The application and
its middleware are called in either case, and Gunicorn's loop over the connection stays in charge of
time-outs, errors and the end.

The master imports this module: it must import nothing that opens a socket or starts a thread.
"""

from __future__ import annotations

import io
import os
import re
import time
from email.utils import formatdate
from typing import Any

import gevent
from gunicorn import http
from gunicorn.http.message import HeaderPolicy
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import GeventWorker

from dmstats.core.constants import WEBHOOK_PATH

MAX_DELIVERY_BYTES = 16 * 1024
"""Bytes of head and body together: one read. A larger delivery is Gunicorn's, which does not hold a
body that the memory budget does not know."""
MAX_HEADERS = 64
MAX_KEYS = 256

_HEAD = re.compile(
    rb"POST %s HTTP/1\.1((?:\r\n[A-Za-z0-9-]++: ?[\x21-\x7e][\x20-\x7e]*+)++)\r\n\r\n"
    % re.escape(WEBHOOK_PATH.encode())
)
NOT_RECOGNISED = frozenset(
    "HTTP_" + name
    for name in (
        *("CONNECTION", "EXPECT", "HTTP2_SETTINGS", "KEEP_ALIVE", "TE", "TRAILER"),
        *("TRANSFER_ENCODING", "UPGRADE"),
        # Gunicorn refuses those that contradict X-Forwarded-Proto.
        *("X_FORWARDED_PROTOCOL", "X_FORWARDED_SSL"),
    )
)
"""A request with one of these is Gunicorn's."""
SCHEMES = frozenset({"X-FORWARDED-PROTO", "X-FORWARDED-PROTOCOL", "X-FORWARDED-SSL"})

_keys: dict[str, str] = {}


class Delivery:
    """A recognised delivery, in the place of Gunicorn's ``Request``, with what Gunicorn reads from
    it after an error. ``headers`` are by their names in a WSGI environ."""

    __slots__ = ("body", "headers", "proxy_protocol_info", "trusted")
    method, uri, query, version = "POST", WEBHOOK_PATH, "", (1, 1)

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers = headers
        self.body = body
        self.trusted = False
        self.proxy_protocol_info: object = None


def recognise(data: bytes) -> tuple[Delivery, int] | None:
    """The delivery at the start of ``data``, and where it ends; None if there is anything unusual
    about it."""
    match = _HEAD.match(data)
    if match is None:
        return None
    lines = match[1].decode("ascii").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if value[-1] == " ":
            return None
        headers[_keys.get(name) or _key(name)] = value.lstrip(" ")
    length = headers.get("CONTENT_LENGTH", "")
    if (
        len(headers) != len(lines) - 1  # a repeated one
        or len(headers) > MAX_HEADERS
        or not NOT_RECOGNISED.isdisjoint(headers)
        or "HTTP_HOST" not in headers
        or not length.isdecimal()
        or len(length) > len(str(MAX_DELIVERY_BYTES))
    ):
        return None
    begin = match.end()
    end = begin + int(length)
    if end > min(len(data), MAX_DELIVERY_BYTES):
        return None
    return Delivery(headers, data[begin:end]), end


def _key(name: str) -> str:
    upper = name.upper().replace("-", "_")
    key = upper if upper in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{upper}"
    if len(_keys) < MAX_KEYS:  # names are the clients' choice
        _keys[name] = key
    return key


class DeliveryParser(RequestParser):  # type: ignore[misc]
    """Gunicorn's parser of a connection, which returns each recognised :class:`Delivery`."""

    mesg: Any

    def __init__(self, cfg: Any, source: Any, source_addr: Any) -> None:
        super().__init__(cfg, source, source_addr)
        self.unreader.mxchunk = MAX_DELIVERY_BYTES
        policy = HeaderPolicy()
        policy.cfg, policy.peer_addr = cfg, source_addr
        self._trusted: bool = policy._peer_is_trusted_proxy()  # noqa: SLF001 - Gunicorn's decision

    def __next__(self) -> Any:
        if self.mesg is not None:
            # As Gunicorn's: the next request begins behind this one's body.
            if self.mesg.should_close() or not self.finish_body():
                raise StopIteration
            self.mesg = None
        data = self.unreader.read()
        if not data:
            raise StopIteration
        found = recognise(data)
        if found is None:
            self.unreader.unread(data)
            return super().__next__()
        delivery, end = found
        if end < len(data):
            self.unreader.unread(data[end:])
        self.req_count += 1
        delivery.trusted = self._trusted
        return delivery

    next = __next__


def recognises(cfg: Any) -> bool:
    """Whether deliveries can be recognised with Gunicorn's configuration ``cfg``: only if none of
    its features is used that a recognised delivery would not have."""
    return bool(
        cfg.keepalive
        and not cfg.is_ssl
        and cfg.protocol == "http"
        and cfg.proxy_protocol == "off"
        and not (cfg.accesslog or cfg.statsd_host or cfg.logconfig or cfg.logconfig_dict)
        and {cfg.pre_request.__module__, cfg.post_request.__module__} == {"gunicorn.config"}
        and cfg.secure_scheme_headers.keys() <= SCHEMES
        and (cfg.limit_request_line <= 0 or cfg.limit_request_line >= len(WEBHOOK_PATH) + 14)
        and (cfg.limit_request_fields <= 0 or cfg.limit_request_fields >= MAX_HEADERS)
        and cfg.limit_request_field_size >= MAX_DELIVERY_BYTES
        and not os.environ.get("SCRIPT_NAME")
    )


def parser_for(cfg: Any, source: Any, source_addr: Any, *, http2_connection: bool = False) -> Any:
    """In the place of ``gunicorn.http.get_parser``."""
    if http2_connection or not isinstance(source_addr, tuple):
        return _get_parser(cfg, source, source_addr, http2_connection=http2_connection)
    return DeliveryParser(cfg, source, source_addr)


_get_parser = http.get_parser


class DeliveryWorker(GeventWorker):  # type: ignore[misc]
    """The worker class of gunicorn.conf.py."""

    alive: bool

    def init_process(self) -> None:
        """Start; returns when the worker ends."""
        if recognises(self.cfg):
            http.get_parser = parser_for  # of this process alone
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Answer one request; ``StopIteration`` ends the connection."""
        if type(req) is not Delivery:
            return super().handle_request(listener_name, req, sock, addr)
        try:
            return self._answer(listener_name, req, sock, addr)
        except (gevent.GreenletExit, SystemExit):
            return None  # as in GeventWorker

    def _answer(self, listener_name: Any, delivery: Delivery, sock: Any, addr: Any) -> bool:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        close = not self.alive
        status, headers = "", list[tuple[str, str]]()

        def start(line: str, fields: list[tuple[str, str]], _: Any = None) -> None:
            nonlocal status, headers
            status, headers = line, fields

        response = self.wsgi(self._environ(listener_name, delivery, sock, addr), start)
        try:
            body = b"".join(response)
        finally:
            if hasattr(response, "close"):
                response.close()
        lines = [
            f"HTTP/1.1 {status}",
            "Server: gunicorn",
            f"Date: {_date()}",
            "Connection: close" if close else "Connection: keep-alive",
            *[f"{name}: {value}" for name, value in headers],
            "\r\n",
        ]
        sock.sendall("\r\n".join(lines).encode("latin-1") + body)
        if close:
            raise StopIteration
        return True

    def _environ(
        self, listener_name: Any, delivery: Delivery, sock: Any, addr: Any
    ) -> dict[str, Any]:
        secure = self.cfg.secure_scheme_headers.get("X-FORWARDED-PROTO")
        sent = delivery.headers.get("HTTP_X_FORWARDED_PROTO")
        https = delivery.trusted and sent is not None and sent == secure
        return {
            **self._base(),
            "wsgi.input": io.BytesIO(delivery.body),
            "wsgi.url_scheme": "https" if https else "http",
            "gunicorn.socket": sock,
            "REMOTE_ADDR": addr[0],
            "REMOTE_PORT": str(addr[1]),
            "SERVER_NAME": listener_name[0],
            "SERVER_PORT": str(listener_name[1]),
            **delivery.headers,
        }

    def _base(self) -> dict[str, Any]:
        """What is the same in each environ."""
        base: dict[str, Any] | None = getattr(self, "_base_environ", None)
        if base is None:
            base = self._base_environ = base_environ(self.cfg) | {
                "wsgi.multithread": True,
                "REQUEST_METHOD": "POST",
                "RAW_URI": WEBHOOK_PATH,
                "PATH_INFO": WEBHOOK_PATH,
                "SCRIPT_NAME": "",
                "QUERY_STRING": "",
                "SERVER_PROTOCOL": "HTTP/1.1",
            }
        return base


_dates: dict[int, str] = {}


def _date() -> str:
    """Now, as in the header ``Date``."""
    now = int(time.time())
    if now not in _dates:
        _dates.clear()
        _dates[now] = formatdate(now, usegmt=True)
    return _dates[now]
