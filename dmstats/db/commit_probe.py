"""Checks whether counting would work now: writes to a separate document in a transaction that is
rolled back."""

from __future__ import annotations

import uuid

import pymongo
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import ACCOUNTS, COMMIT_PROBE, STATS_CACHE

SECONDS = 1.5


class CommitProbe:
    """Stronger than a ping, which also succeeds without a primary, write access or free disk."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    def try_commit(self) -> None:
        """Write in a transaction and roll it back. On a standalone server one document remains.

        Takes at most ``SECONDS``, and cannot conflict with a commit: it changes no shared document.
        Raises :class:`~dmstats.core.errors.StoreUnavailable` or another
        :class:`~dmstats.core.errors.DmstatsError` if a delivery could not be counted now.
        """
        with translated(), pymongo.timeout(SECONDS):
            if not self._mongo.transactional():
                self._write("probe", None)
                return
            with self._mongo.client.start_session(causal_consistency=False) as session:
                session.start_transaction(
                    read_concern=ReadConcern("local"),
                    write_concern=WriteConcern("majority"),
                    read_preference=ReadPreference.PRIMARY,
                )
                try:
                    self._write(uuid.uuid4().hex, session)
                finally:
                    session.abort_transaction()

    def _write(self, key: str, session: ClientSession | None) -> None:
        db, now = self._mongo.db, {"$currentDate": {"at": True}}
        db[COMMIT_PROBE].update_one({"_id": key}, now, upsert=True, session=session)
        # Matches no document; it only tests whether the user may write there. ``instagramId`` is
        # the shard key.
        nothing = {"_id": f"dmstats-probe-{key}", "instagramId": "dmstats-probe"}
        for name in (ACCOUNTS, STATS_CACHE):
            db[name].update_one(nothing, now, session=session)
