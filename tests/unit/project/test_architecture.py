"""The packages keep their shape: imports run one way, and modules stay small."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.sources import imports, tree

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


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_module_imports_only_what_lies_below() -> None:
    wrong = {}
    for path in MODULES:
        allowed = ALLOWED.get(package(path))
        if allowed is None:
            continue  # the wiring
        names = [name.split(".") for name in imports(path)]
        met = {name[1] for name in names if name[0] == "dmstats" and len(name) > 1}
        wrong[name_of(path)] = met - {"__version__"} - allowed
    assert len(wrong) > 30
    assert not any(wrong.values()), {name: found for name, found in wrong.items() if found}


def test_every_module_leaves_the_driver_to_db() -> None:
    wrong = [
        name_of(path)
        for path in MODULES
        if package(path) != "db" and {name.split(".")[0] for name in imports(path)} & ONLY_DB
    ]
    assert wrong == []


def test_every_module_has_one_job_and_says_it() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: number for name, number in lines.items() if number > MAX_LINES} == {}
    assert [name_of(path) for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_no_module_makes_a_client_at_import() -> None:
    made = [
        (name_of(path), ast.unparse(node.value.func))
        for path in MODULES
        for node in tree(path).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    ]
    assert made
    assert [each for each in made if each[1].endswith(("Client", "Redis", "from_url"))] == []


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
