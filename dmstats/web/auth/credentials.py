"""Sessions, tokens and shared links together: each open stream stands or falls with one."""

from __future__ import annotations

from dmstats.db.admins.admin import Admin
from dmstats.db.admins.session_store import Session, SessionStore
from dmstats.db.admins.shared_links import SharedLinkStore
from dmstats.db.admins.token_store import TokenStore

TOKEN_KEY = "token:"  # noqa: S105 - no token
"""How the key of a stream begins that was opened with a token; the token's id follows."""


LINK_KEY = "link:"
"""The same of a shared link."""


class Credentials:
    """The stores behind one face."""

    def __init__(self, sessions: SessionStore, tokens: TokenStore, links: SharedLinkStore) -> None:
        self._sessions = sessions
        self._others = {TOKEN_KEY: tokens.standing, LINK_KEY: links.standing}

    def find(self, key: str) -> tuple[Session, Admin] | None:
        """The session with that key and its person; None if it has ended."""
        return self._sessions.find(key)

    def last_ending(self) -> str | None:
        """A text that changes whenever one of them is ended on purpose."""
        return self._sessions.last_ending()

    def standing(self, keys: set[str]) -> set[str]:
        """Those of ``keys`` that have not ended."""
        standing: set[str] = set()
        sessions = {key for key in keys if not key.startswith((TOKEN_KEY, LINK_KEY))}
        if sessions:
            standing |= self._sessions.standing(sessions)
        for prefix, standing_of in self._others.items():
            if ids := {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}:
                standing |= {prefix + each for each in standing_of(ids)}
        return standing
