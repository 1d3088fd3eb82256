"""The pages: the dashboard and the others, and the files it is made of."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from werkzeug.exceptions import NotFound as NotFoundPage

from dmstats.core.command_line import SIMULATE, command_line
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.errors import Forbidden, NotFound, StoreUnavailable
from dmstats.core.setting_types import is_loopback
from dmstats.db.admins.scopes import SCOPE_WORDS
from dmstats.db.admins.shared_links import PART_WORDS, Part
from dmstats.sse.hub import HEARTBEAT_SECONDS
from dmstats.web import services
from dmstats.web.auth.authenticator import current_identity, reader_name, signed_in
from dmstats.web.auth.passkey_site import passkey_site
from dmstats.web.middleware.problems import PROBLEM, http_problem, problem_of
from dmstats.web.pages.activity_log_page import register_activity_log
from dmstats.web.pages.assets import Assets, find_folder
from dmstats.web.pages.first_paint import figure_texts, is_empty
from dmstats.web.pages.overview import is_wall, overview_page

FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
THEME_COOKIE = "dmstats-theme"
THEMES = ("light", "dark")
PAGES = {
    "/accounts": "accounts",
    "/accounts/<instagram_id>": "account",
    "/deliveries": "deliveries",
    "/lost": "lost",
    "/incidents": "incidents",
    "/alerts": "alerts",
    "/incidents/<incident_id>": "incident",
    "/admins": "admins",
}
"""The template of each page that loads what it shows by the API."""

BREAKING = re.compile(r"(?<=[@.:/])(?!$)")


def register_pages(app: Flask, folder: Path | None = None) -> None:
    """Serve the dashboard on ``app``; its templates and files come from ``folder``."""
    assets = Assets(folder or find_folder())
    pages = Blueprint("pages", __name__, template_folder=str(assets.folder))

    modules = functools.cache(assets.modules)

    @pages.app_context_processor
    def tools() -> dict[str, object]:
        base = request.script_root
        return {
            "base": base,
            "asset": lambda path: base + assets.address(path),
            "modules": modules,
            "theme": _theme(),
            "build": assets.version,
        }

    pages.app_template_filter()(breakable)

    @pages.get("/")
    def dashboard() -> ResponseReturnValue:
        """The dashboard, with the newest figures in it; later ones arrive by the API.

        ``?wall`` is the same for a screen.
        """
        if is_wall():
            snapshot = _first_figures()["snapshot"]
            api = "/api/admin/stats"
            parts = (Part.MESSAGES, Part.PEOPLE)  # what fits a screen
            return overview_page("", parts, snapshot, stats=api, stream=f"{api}/stream")
        return render_template(
            "index.html",
            email=reader_name(),
            settings=services().settings,
            heartbeat=round(HEARTBEAT_SECONDS),
            callback_url=request.url_root.rstrip("/") + WEBHOOK_PATH,
            local=is_loopback(urlsplit(request.url_root).hostname or ""),
            simulate_command=command_line(*SIMULATE, data_dir=services().settings.data_dir),
            audit_command=command_line("audit", data_dir=services().settings.data_dir),
            late_after=_span(services().settings.ledger_retention_hours),
            **_first_figures(),
        )

    for path, name in PAGES.items():
        pages.add_url_rule(path, name, _page(f"{name}.html"))

    _register_people(pages)
    register_activity_log(pages)

    @pages.get("/static/<path:path>")
    def static_file(path: str) -> ResponseReturnValue:
        """A file: kept for ever under this version's address, asked for again under others."""
        prefix = f"v-{assets.version}/"
        current = path.startswith(prefix)
        if path.startswith("v-"):
            # Another worker may run another version during a deploy: the newest file will do.
            path = path.partition("/")[2]
        asset = assets.find(path)
        if asset is None:
            raise NotFound("This file does not exist.")
        packed = request.accept_encodings.quality("gzip") > 0
        response = Response(asset.packed if packed else asset.body)
        response.headers["Content-Type"] = asset.mimetype
        response.headers["Cache-Control"] = FOR_EVER if current and not app.debug else ASK_AGAIN
        response.headers["Vary"] = "Accept-Encoding"
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        response.set_etag(f"{asset.etag}{'-gz' if packed else ''}")
        return response.make_conditional(request)

    app.register_blueprint(pages)
    app.register_error_handler(404, _missing)
    app.register_error_handler(Forbidden, _refused)


def _register_people(pages: Blueprint) -> None:
    @pages.get("/tokens")
    def tokens() -> ResponseReturnValue:
        """The API tokens."""
        has_setting = bool(services().settings.admin_api_token)
        return render_template(
            "tokens.html", email=reader_name(), scopes=SCOPE_WORDS, has_setting=has_setting
        )

    @pages.get("/links")
    def links() -> ResponseReturnValue:
        """The shared links."""
        return render_template("links.html", email=reader_name(), parts=PART_WORDS)

    @pages.get("/me")
    def me() -> ResponseReturnValue:
        """One's own password and sessions."""
        required = services().settings.second_factor == "required"
        return render_template(
            "me.html",
            email=reader_name(),
            person=signed_in(),
            required=required and not current_identity().two_factors,
            passkeys=passkey_site(services().settings, request) is not None,
        )


def breakable(text: str) -> Markup:
    """``text`` with a place to break the line after each ``@``, dot, colon and slash: addresses of
    people and machines have no spaces."""
    return Markup("<wbr>").join(BREAKING.split(text))


def _page(template: str) -> Callable[..., ResponseReturnValue]:
    def view(**ids: str) -> ResponseReturnValue:
        return render_template(
            template,
            email=reader_name(),
            person=current_identity().admin,
            settings=services().settings,
            **ids,
        )

    return view


def _missing(error: NotFoundPage) -> ResponseReturnValue:
    """A page for a browser on a wrong path; a problem document for everything else."""
    if request.path.startswith("/api/") or not _wants_page():
        return http_problem(error)
    return render_template("missing.html"), 404


def _refused(error: Forbidden) -> ResponseReturnValue:
    """A page for a browser that its reader's role does not allow."""
    if request.method != "GET" or request.path.startswith("/api/") or not _wants_page():
        return problem_of(error)
    return render_template("missing.html", title="Not allowed", words=str(error)), error.status


def _wants_page() -> bool:
    """Whether the client prefers HTML to JSON: a browser's address bar does, a script does not."""
    offered = (PROBLEM, "text/html")
    return request.accept_mimetypes.best_match(offered, default=PROBLEM) == "text/html"


def _first_figures() -> dict[str, Any]:
    """The newest snapshot for the page: ``first``, its JSON fit to stand inside a script element,
    empty without one; ``snapshot``, the same read, else None; ``filled``, what there is to see
    ("yes", "empty" before the first event, "no" without a snapshot); ``texts``, what is seen at
    once."""
    try:
        body = services().reader.current().body
    except StoreUnavailable:
        return {"first": "", "snapshot": None, "filled": "no", "texts": {}}
    snapshot = msgspec.json.decode(body)
    # Only inside JSON's strings can these stand, and there an escape means the same.
    first = Markup(body.decode().replace("<", "\\u003c"))  # noqa: S704  # nosec B704
    return {
        "first": first,
        "snapshot": snapshot,
        "filled": "empty" if is_empty(snapshot) else "yes",
        "texts": figure_texts(snapshot),
    }


def _span(hours: int) -> str:
    days, rest = divmod(hours, 24)
    return f"{hours} hours" if rest or days < 2 else f"{days} days"


def _theme() -> str | None:
    """The colours that the reader chose, "light" or "dark"; None for those of the system.

    From a cookie that ``theme.js`` sets: known before the page is painted, without a script.
    """
    chosen = request.cookies.get(THEME_COOKIE)
    return chosen if chosen in THEMES else None
