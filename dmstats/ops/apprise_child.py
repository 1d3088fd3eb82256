"""The process that sends one alert with Apprise: it reads a request, answers with the outcome and
exits.

It is a separate process because Apprise takes two seconds and 45 MB to load, may block for minutes,
and follows redirects by default. It imports nothing of dmstats.

In: one line of JSON with ``url``, ``title``, ``body``, ``kind`` (one of Apprise's notification
types, or "check" to send nothing) and ``key`` (the same for the beginning and the end of an
incident); for mail also ``html``, of which Apprise makes the text part as well. Out: JSON with
``told``, ``problem`` and ``retryAfter`` (in seconds, or null). It exits when the parent process
ends.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import os
import sys
import threading
import time
from typing import Any

TOO_MANY_REQUESTS = 429
MAX_WAIT_SECONDS = 3600.0


def main() -> None:
    answer = os.dup(1)
    os.dup2(2, 1)  # output of a plugin must not corrupt the answer
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.write(answer, json.dumps(outcome(request)).encode())
    os._exit(0)  # without waiting for threads of plugins


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def outcome(request: dict[str, str]) -> dict[str, Any]:
    """Send the alert in ``request``; returns the answer described above."""
    import apprise  # noqa: PLC0415 - slow; the watch on the parent must already run

    asset = apprise.AppriseAsset(
        app_id="dmstats", app_desc="dmstats", app_url="", http_redirects=False, async_mode=False
    )
    channel = apprise.Apprise.instantiate(request["url"], asset=asset)
    if channel is None:
        return _answer(problem="the address is not a valid Apprise address")
    if request["kind"] == "check":
        return _answer(told=True)
    if request["url"].lower().startswith("pagerduty://") and not getattr(channel, "dedup", True):
        # One incident at PagerDuty from the beginning to the end, however often it is sent.
        vars(channel).update(dedup=request["key"], action="map")
    responses = _Responses()
    responses.watch()
    sender = apprise.Apprise(asset=asset)
    sender.add(channel)
    html = request.get("html")
    accepted = sender.notify(
        body=html or request["body"],
        title=request["title"],
        notify_type=request["kind"],
        body_format=apprise.NotifyFormat.HTML if html else apprise.NotifyFormat.TEXT,
    )
    return responses.outcome(accepted=bool(accepted))


class _Responses:
    """The servers' answers. Apprise itself only reports whether it considers the alert sent."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: float | None = None
        self.problem = "not accepted"

    def watch(self) -> None:
        import requests  # noqa: PLC0415 - after apprise, which loads it

        send = requests.Session.send

        def watched(session: Any, request: Any, **options: Any) -> Any:
            options["allow_redirects"] = False
            self.status = self.retry_after = None
            try:
                answer = send(session, request, **options)
            except requests.Timeout:
                self.problem = "no answer in time"
                raise
            except requests.RequestException:
                self.problem = "not reachable"
                raise
            self.status, self.retry_after = answer.status_code, _retry_after(answer)
            return answer

        requests.Session.send = watched  # type: ignore[method-assign, assignment]

    def outcome(self, *, accepted: bool) -> dict[str, Any]:
        """If there was an HTTP response (mail has none), only a 2xx is a success."""
        if self.status is not None and not 200 <= self.status < 300:
            return _answer(problem=f"status {self.status}", retry_after=self.retry_after)
        return _answer(told=True) if accepted else _answer(problem=self.problem)


def _answer(
    *, told: bool = False, problem: str = "", retry_after: float | None = None
) -> dict[str, Any]:
    return {"told": told, "problem": problem, "retryAfter": retry_after}


def _retry_after(answer: Any) -> float | None:
    """``Retry-After`` in seconds, or the delay in the body of a 429 of Telegram and Discord."""
    given = answer.headers.get("Retry-After", "")
    seconds: Any = None
    if given.isdecimal():
        seconds = float(given)
    elif given:
        with contextlib.suppress(ValueError):
            seconds = email.utils.parsedate_to_datetime(given).timestamp() - time.time()
    elif answer.status_code == TOO_MANY_REQUESTS:
        try:
            body = answer.json()
            seconds = body.get("retry_after") or body.get("parameters", {}).get("retry_after")
        except (ValueError, AttributeError):
            return None
    return min(max(0.0, float(seconds)), MAX_WAIT_SECONDS) if _is_number(seconds) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


if __name__ == "__main__":
    main()
