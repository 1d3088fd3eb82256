"""The packages keep their shape: imports run one way, and modules stay small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "dmstats"
MODULES = sorted(PACKAGE.rglob("*.py"))

BASE = {"core", "db"}
ALLOWED = {
    "core": {"core"},
    "db": BASE,
    "ingest": {"core", "commit", "ingest"},
    "commit": {"core", "commit"},
    "history": BASE | {"history"},
    "snapshot": BASE | {"history", "snapshot"},
    "states": BASE | {"states"},
    "audit": BASE | {"audit", "states"},
    "sse": BASE | {"sse"},
    "simulator": BASE | {"simulator"},
    "web": BASE
    | {"ingest", "commit", "snapshot", "history", "audit", "states", "sse", "ops", "web"},
    "ops": BASE | {"ingest", "commit", "snapshot", "audit", "states", "sse", "ops"},
    "embedded": BASE | {"embedded"},
}
"""What each package may import; the wiring (app, services, cli, __main__) may import all."""

MAX_LINES = 400
ONLY_DB = {"pymongo", "bson", "gridfs"}


def package(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module imported when the code runs; imports for type checking alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
class TestEveryModule:
    def test_imports_only_what_lies_below(self, path: Path) -> None:
        allowed = ALLOWED.get(package(path))
        if allowed is None:
            return  # the wiring
        names = [name.split(".") for name in imports(path)]
        met = {name[1] for name in names if name[0] == "dmstats" and len(name) > 1}
        assert met - {"__version__"} <= allowed

    def test_leaves_the_driver_to_db(self, path: Path) -> None:
        if package(path) != "db":
            assert not {name.split(".")[0] for name in imports(path)} & ONLY_DB

    def test_has_one_job_and_says_it(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MAX_LINES
        assert ast.get_docstring(ast.parse(text))

    def test_makes_no_client_at_import(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        made = [
            ast.unparse(node.value.func)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        ]
        assert not [name for name in made if name.endswith(("Client", "Redis", "from_url"))]


COMMIT_PATH = ("web.middleware.request_log", "web.middleware.timeouts", "commit.fair_lock")
"""Modules of the commit path that the wiring connects, rather than an import."""
ROOTS = ("ingest.webhook", "commit.group_commit", "db.counting.batches", *COMMIT_PATH)


def module_path(name: str) -> Path | None:
    path = (PACKAGE / name.removeprefix("dmstats.").replace(".", "/")).with_suffix(".py")
    return path if name.startswith("dmstats.") and path.is_file() else None


def reached(path: Path, paths: set[Path]) -> set[Path]:
    """``paths`` and all that ``path`` imports, directly or not, outside core/."""
    if path in paths or package(path) == "core":
        return paths
    paths.add(path)
    for name in imports(path):
        if (found := module_path(name)) and package(found) != "web":
            reached(found, paths)
    return paths


def test_the_documented_commit_path_is_what_is_imported() -> None:
    section = (ROOT / "docs" / "architecture.md").read_text().split("from POST to commit")[1]
    listed = re.findall(r"^\d+\. `([a-z_/]+\.py)`", section.split("\n## ")[0], flags=re.MULTILINE)
    paths: set[Path] = set()
    for root in ROOTS:
        found = module_path(f"dmstats.{root}")
        assert found is not None, root
        reached(found, paths)
    # A folder, names, and the decoding and types of values.
    off_path = {"commit/session_files.py", "db/collection_names.py"}
    off_path |= {"db/decoding.py", "db/typed.py"}
    assert {str(path.relative_to(PACKAGE)) for path in paths} - off_path == set(listed)
    assert len(listed) <= 20


def test_it_works() -> None:
    """The rules above can fail: an import that is not allowed is found."""
    assert "snapshot" not in ALLOWED["commit"]
    assert len(MODULES) > 30
    assert set(imports(PACKAGE / "ingest" / "events.py")) & {"dmstats.ingest.payload"}
