"""A database's collections, put back as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from dmstats.db.client import Mongo

RAW = CodecOptions(document_class=RawBSONDocument)
"""Compared as bytes: as Python's values 1, 1.0 and True are equal."""


class KeptCollections:
    """Those whose names are ``wanted``, as they are now."""

    def __init__(self, mongo: Mongo, wanted: Callable[[str], bool]) -> None:
        self._db = mongo.db
        self._wanted = wanted
        self._kept = {name: self._documents(name) for name in self._names()}

    def restore(self) -> None:
        """Put back what has changed since; a collection that is new is emptied."""
        for name in {*self._kept, *self._names()}:
            before = self._kept.get(name, [])
            if self._documents(name) != before:
                self._db[name].delete_many({})
                if before:
                    self._raw(name).insert_many(map(RawBSONDocument, before))

    def _names(self) -> list[str]:
        return list(filter(self._wanted, self._db.list_collection_names()))

    def _documents(self, name: str) -> list[bytes]:
        return [document.raw for document in self._raw(name).find()]

    def _raw(self, name: str) -> Any:
        return self._db[name].with_options(codec_options=RAW)
