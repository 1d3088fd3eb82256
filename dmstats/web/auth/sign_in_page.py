"""The sign-in page with all ways to sign in, and where it leads."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import DmstatsError
from dmstats.web import services
from dmstats.web.auth.passkey_site import passkey_site
from dmstats.web.auth.proxy_header import named_by_proxy
from dmstats.web.middleware.problems import retry_after

HOME = "/"
MAX_TARGET = 2000
SIGNED_OUT = "signed-out"
"""The query parameter of the page after a sign-out: the proxy's header does not sign in at once."""


def sign_in_page(
    error: DmstatsError | None = None,
    *,
    words: str | None = None,
    target: str | None = None,
    email: str = "",
) -> ResponseReturnValue:
    """The page with an error message: ``words``, or the error's own text. ``target`` is the path to
    open afterwards."""
    settings, path = services().settings, own_path(target)
    page = render_template(
        "login.html",
        error=words or (error and str(error)),
        email=email[:320],
        next=path,
        query=_query(path),
        single_sign_on=settings.oidc_name if settings.oidc_issuer else None,
        proxied=named_by_proxy(request, settings),
        passkeys=passkey_site(settings, request) is not None,
    )
    if error is None:
        return page
    headers = {} if error.retry_after is None else {"Retry-After": retry_after(error)}
    return page, error.status, headers


def to_code_page(target: str | None) -> ResponseReturnValue:
    """To the form for the second factor."""
    return redirect(f"{request.script_root}/login/code{_query(own_path(target))}", 303)


def own_path(target: str | None) -> str:
    """``target`` if it is a path of this very service, from its own top on, else the home page.

    Browsers drop tabs and newlines from an address and read a backslash as a slash: a target
    with any of them, or with two slashes in front, may lead elsewhere.
    """
    if not target or len(target) > MAX_TARGET or not target.isprintable() or "\\" in target:
        return HOME
    return target if target.startswith("/") and not target.startswith("//") else HOME


def _query(path: str) -> str:
    return "" if path == HOME else "?" + urlencode({"next": path})
