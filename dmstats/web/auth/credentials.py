"""Sessions and tokens together, as open streams need them: each stream stands or falls with one."""

from __future__ import annotations

from dmstats.db.admins.admin import Admin
from dmstats.db.admins.session_store import Session, SessionStore
from dmstats.db.admins.token_store import TokenStore

TOKEN_KEY = "token:"  # noqa: S105 - no token
"""How the key of a stream begins that was opened with a token; the token's id follows."""


class Credentials:
    """Both stores behind one face."""

    def __init__(self, sessions: SessionStore, tokens: TokenStore) -> None:
        self._sessions = sessions
        self._tokens = tokens

    def find(self, key: str) -> tuple[Session, Admin] | None:
        """The session with that key and its person; None if it has ended."""
        return self._sessions.find(key)

    def last_ending(self) -> str | None:
        """A text that changes whenever a session or a token is ended on purpose."""
        return self._sessions.last_ending()

    def standing(self, keys: set[str]) -> set[str]:
        """Those of ``keys``, of sessions and tokens, that have not ended."""
        ids = {key.removeprefix(TOKEN_KEY) for key in keys if key.startswith(TOKEN_KEY)}
        sessions = {key for key in keys if not key.startswith(TOKEN_KEY)}
        standing = self._sessions.standing(sessions) if sessions else set()
        tokens = self._tokens.standing(ids) if ids else set()
        return standing | {TOKEN_KEY + each for each in tokens}
