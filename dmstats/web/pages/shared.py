"""What a shared link opens: the read-only overview, its figures and their stream."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import NotFound, StoreUnavailable
from dmstats.db.admins.shared_links import SharedLink
from dmstats.snapshot.encoded import newest_of
from dmstats.snapshot.shared import shared_fields, shared_figures
from dmstats.web import services
from dmstats.web.api.stream import open_stream
from dmstats.web.auth.credentials import LINK_KEY
from dmstats.web.pages.overview import overview_page

blueprint = Blueprint("shared", __name__, url_prefix="/shared/<link>")


@blueprint.get("")
def page(link: str) -> ResponseReturnValue:
    """The overview, with the link's parts."""
    try:
        found = services().shared_access.find(link)
    except NotFound as error:
        return render_template("missing.html", title="No such link", words=str(error)), 404
    try:
        snapshot = shared_fields(msgspec.json.decode(services().reader.current().body), found.parts)
    except StoreUnavailable:
        snapshot = None
    path = f"/shared/{link}"
    return overview_page(
        found.label, found.parts, snapshot, stats=f"{path}/stats", stream=f"{path}/stream"
    )


@blueprint.get("/stats")
def stats(link: str) -> ResponseReturnValue:
    """The figures of the link's parts, or 304 if the client already has them."""
    found = services().shared_access.find(link)
    known = request.if_none_match
    served = services().reader.current(newest_of(known.as_set(include_weak=True)))
    if known.contains_weak(served.etag):
        response = Response(status=304)
    else:
        response = Response(shared_figures(served, found.parts).body, mimetype="application/json")
    response.set_etag(served.etag, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@blueprint.get("/stream")
def stream(link: str) -> ResponseReturnValue:
    """The same as they change; ends with the link."""
    found: SharedLink = services().shared_access.find(link)
    return open_stream(LINK_KEY + found.id, found.parts)


@blueprint.after_request
def keep_secret(response: Response) -> Response:
    """The address is a secret: no other site may learn it, and no search engine keep it."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response
