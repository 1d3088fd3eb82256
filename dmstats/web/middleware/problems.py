"""Every error as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, Response, json, request
from werkzeug.exceptions import HTTPException

from dmstats.core.errors import DmstatsError
from dmstats.web.middleware.request_log import loggable

logger = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
LOGGED = "An internal error occurred. It has been logged."


def register_errors(app: Flask) -> None:
    """Answer every exception of a view of ``app`` with a problem document."""
    app.register_error_handler(DmstatsError, problem_of)
    app.register_error_handler(HTTPException, http_problem)
    app.register_error_handler(Exception, _unexpected)


def problem_of(error: DmstatsError) -> Response:
    """The answer to one of our own errors."""
    if error.status >= 500 and error.retry_after is None:
        logger.error("request_failed", exc_info=error, extra={"path": loggable(request.path)})
        # Internal details go to the log, not to the client.
        return _answer({**error.problem(), "detail": LOGGED})
    response = _answer(error.problem())
    if error.retry_after is not None:
        response.headers["Retry-After"] = retry_after(error)
    return response


def retry_after(error: DmstatsError) -> str:
    """Whole seconds, at least 1, rounded up so that the retry is not too early."""
    return str(max(1, math.ceil(error.retry_after or 1)))


def http_problem(error: HTTPException) -> Response | HTTPException:
    """The answer to an error of HTTP itself; a redirect stays what it is."""
    if error.response is not None or error.code is None or error.code < 400:
        return error
    response = _answer(
        {
            "type": "about:blank",
            "title": error.name,
            "status": error.code,
            "detail": error.description or error.name,
        }
    )
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    logger.error("request_crashed", exc_info=error, extra={"path": loggable(request.path)})
    return _answer({**DmstatsError().problem(), "detail": LOGGED})


def _answer(problem: Mapping[str, object]) -> Response:
    response = Response(json.dumps(problem), mimetype=PROBLEM)
    response.status_code = int(str(problem["status"]))
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="dmstats"'
    return response
