"""Outgoing HTTP requests, through the proxy configured in the environment."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.util import make_headers

from dmstats.core.setting_types import is_loopback

logger = logging.getLogger(__name__)

Pool = urllib3.PoolManager


def pool_for(url: str, **options: Any) -> Pool:
    """A connection pool for requests to ``url``; ``options`` are urllib3's.

    The proxy is named by ``https_proxy``, ``http_proxy`` or ``all_proxy``, also in capital letters;
    ``no_proxy`` lists hosts that are reached directly. Loopback never uses a proxy.
    """
    parts = urlsplit(url)
    host, proxies = parts.hostname or "", getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or is_loopback(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return urllib3.PoolManager(**options)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    address = urlsplit(proxy)
    if address.scheme not in ("http", "https"):
        logger.warning("proxy_not_supported", extra={"scheme": address.scheme})
        return urllib3.PoolManager(**options)
    login, _, place = address.netloc.rpartition("@")
    return urllib3.ProxyManager(
        urlunsplit(address._replace(netloc=place)),
        proxy_headers=make_headers(proxy_basic_auth=unquote(login)) if login else None,
        **options,
    )
