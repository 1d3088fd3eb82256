"""Links for choosing a password: made by an admin, sent or shown once, used at ``/password``."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import BadRequest, DmstatsError, Forbidden
from dmstats.core.plain_http import NEEDS_HTTPS
from dmstats.db.admins.activity_log import Event
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.password_link import Link
from dmstats.ops.mail import Mailer, MailNotSent
from dmstats.web import services
from dmstats.web.auth.csrf import require_own_origin
from dmstats.web.auth.link_mail import PATH, link_address, link_mail
from dmstats.web.auth.recording import record_of
from dmstats.web.auth.sessions import is_plain_http
from dmstats.web.middleware.problems import retry_after
from dmstats.web.schema.api_schemas import ChosenPassword
from dmstats.web.schema.validation import body

blueprint = Blueprint("password_links", __name__)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkDelivery:
    """The result of creating a link: ``mailed``, or the ``link`` itself, to be shown once.

    ``problem`` is the reason if a mail could not be sent although a mail server is set.
    """

    admin: Admin
    link: str | None
    mailed: bool
    ends_at: str
    problem: str | None = None


def deliver(admin: Admin, link: Link, base: str, mailer: Mailer | None) -> LinkDelivery:
    """Send ``link`` to the admin if there is a ``mailer``; ``base`` is the service's address."""
    address = link_address(base, link.token)
    if mailer is None:
        return LinkDelivery(admin, address, mailed=False, ends_at=link.ends_at)
    try:
        mailer.send(link_mail(admin.email, address, link.ends_at, invited=admin.invited))
    except MailNotSent as error:
        return LinkDelivery(admin, address, mailed=False, ends_at=link.ends_at, problem=str(error))
    return LinkDelivery(admin, None, mailed=True, ends_at=link.ends_at)


@blueprint.get(PATH)
def choose() -> ResponseReturnValue:
    """The form for a new password. It does not consume the link, because mail programs also open
    links."""
    token = request.args.get("link", "")
    try:
        admin = services().admins.link_holder(token)
    except DmstatsError as error:
        return _page(error)
    insecure = NEEDS_HTTPS if is_plain_http(request) else None
    return render_template("password.html", email=admin.email, link=token, error=insecure)


@blueprint.post(PATH)
def set_password() -> ResponseReturnValue:
    """Set the password of whose link it is, which ends that admin's sessions."""
    require_own_origin(request)
    email = None
    try:
        if is_plain_http(request):
            raise Forbidden(NEEDS_HTTPS)
        sent = body(ChosenPassword, request)
        email = services().admins.link_holder(sent["link"]).email
        admin = services().admins.redeem(sent["link"], sent["password"])
    except DmstatsError as error:
        logger.info("link_refused", extra={"status": error.status, "from": request.remote_addr})
        if request.is_json:
            raise
        return _page(error, email)
    logger.info("link_used", extra={"admin": admin.id, "from": request.remote_addr})
    record_of(admin, Event.LINK_USED)
    if request.is_json:
        return jsonify({"email": admin.email})
    return render_template("password.html", email=admin.email, done=True)


def _page(error: DmstatsError, email: str | None = None) -> ResponseReturnValue:
    """The form again where another password may do; else only why it cannot go on."""
    again = isinstance(error, BadRequest) and email is not None
    page = render_template(
        "password.html",
        email=email,
        link=request.form.get("link", "") if again else None,
        error=str(error),
    )
    headers = {} if error.retry_after is None else {"Retry-After": retry_after(error)}
    return page, error.status, headers
