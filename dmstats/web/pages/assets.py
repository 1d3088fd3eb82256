"""The dashboard's static files: kept in memory, also compressed, and versioned by content."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dmstats.core.errors import DmstatsError

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The content types of served files; templates, type declarations and licences are not served."""

IMPORT = re.compile(r'^(?:import|}).* from "(\.{1,2}/[\w./-]+)";$', re.MULTILINE)
SHEETS = re.compile(r"css/([\w-]+(?:\+[\w-]+)+)\.css")
COMMENTS = re.compile(rb"^[ \t]*/\*(?:(?!\*/).)*\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
"""Block comments on separate lines. They are stripped, which saves a tenth of the page's size."""
COMMENTED = ("css/", "js/")
"""The folders of our own files. Third-party files keep their comments, which hold the licence."""
PACKAGE = Path(__file__).resolve().parents[2]


class AssetsMissing(DmstatsError):
    """The dashboard's files were not found."""

    title = "Dashboard not installed"


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, content type and content hash."""

    body: bytes
    mimetype: str
    etag: str

    @cached_property
    def packed(self) -> bytes:
        """The compressed bytes; made on first use, so that a worker starts sooner."""
        return gzip.compress(self.body, compresslevel=9, mtime=0)


class Assets:
    """All files under ``folder``, read once.

    ``version`` changes with any file and is part of every address. Browsers may therefore cache
    files for ever, and modules that import each other always match.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_path = {
            name: _asset(_served(name, path.read_bytes()), TYPES[path.suffix])
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES and (name := path.relative_to(folder).as_posix())
        }
        digest = hashlib.sha256()
        for name, asset in self._by_path.items():
            digest.update(f"{name} {asset.etag}\n".encode())
        self.version = digest.hexdigest()[:12]

    def find(self, path: str) -> Asset | None:
        """The file at ``path``, relative and with slashes; None if there is none.

        ``css/a+b.css`` is ``css/a.css`` and ``css/b.css`` in one answer.
        """
        sheets = SHEETS.fullmatch(path)
        if path in self._by_path or not sheets:
            return self._by_path.get(path)
        parts = [self._by_path.get(f"css/{name}.css") for name in sheets[1].split("+")]
        if None in parts or len(parts) > len(self._by_path):
            return None
        return _asset(b"".join(part.body for part in parts if part), TYPES[".css"])

    def address(self, path: str) -> str:
        """The versioned address of a file; raises :class:`AssetsMissing` if it does not exist.

        Style sheets that a page combines are cached. Combinations that appear only in a request are
        not, because clients could fill the memory with them.
        """
        asset = self.find(path)
        if asset is None:
            raise AssetsMissing(f"{self.folder / path} is missing: run `make run` once")
        self._by_path[path] = asset
        return f"/static/v-{self.version}/{path}"

    def modules(self, entry: str) -> list[str]:
        """The script module ``entry`` and everything it imports, by path.

        Pages preload them, so that the browser does not discover them one after the other.
        """
        found = [entry]
        for path in found:
            folder = posixpath.dirname(path)
            names = IMPORT.findall(self._by_path[path].body.decode())
            paths = (posixpath.normpath(f"{folder}/{name}") for name in names)
            found += [new for new in paths if new not in found]
        return found


def find_folder() -> Path:
    """The folder of the files, in an installed dmstats or in a checkout."""
    for folder in (PACKAGE / "static", PACKAGE.parent / "static"):
        if (folder / "index.html").is_file():
            return folder
    raise AssetsMissing(f"no dashboard in {PACKAGE / 'static'} or {PACKAGE.parent / 'static'}")


def _served(name: str, body: bytes) -> bytes:
    return COMMENTS.sub(b"", body) if name.startswith(COMMENTED) else body


def _asset(body: bytes, mimetype: str) -> Asset:
    return Asset(body, mimetype, hashlib.sha256(body).hexdigest()[:20])
