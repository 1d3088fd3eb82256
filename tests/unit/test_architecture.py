"""The house keeps its shape: imports run one way, and rooms stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dmstats"
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {"config", "parsing", "errors", "clock", "records"}
STORE = GROUND | {"store"}
ALLOWED = {
    **dict.fromkeys(GROUND, GROUND),
    "store": STORE,
    "counting": STORE | {"counting"},
    "stats": STORE | {"stats"},
    "live": STORE | {"live"},
    "traffic": STORE | {"traffic"},
    "web": STORE | {"counting", "stats", "live", "ops", "web"},
    "ops": STORE | {"counting", "stats", "live", "ops"},
    "embedded": STORE | {"embedded"},
}
"""Which wings each wing may import; the roof (app, services, cli, __main__) may import all."""

MOST_LINES = 200
ONLY_STORE = {"pymongo", "bson", "gridfs"}


def wing(path: Path) -> str:
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
        allowed = ALLOWED.get(wing(path))
        if allowed is None:
            return  # the roof
        names = [name.split(".") for name in imports(path)]
        met = {name[1] for name in names if name[0] == "dmstats" and len(name) > 1}
        assert met - {"__version__"} <= allowed

    def test_leaves_the_database_to_the_store(self, path: Path) -> None:
        if wing(path) != "store":
            assert not {name.split(".")[0] for name in imports(path)} & ONLY_STORE

    def test_has_one_job_and_says_it(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MOST_LINES
        assert ast.get_docstring(ast.parse(text))

    def test_makes_no_client_at_import(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        made = [
            ast.unparse(node.value.func)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        ]
        assert not [name for name in made if name.endswith(("Client", "Redis", "from_url"))]


def test_it_works() -> None:
    """The rules above can fail: a wing that is not allowed is found."""
    assert "stats" not in ALLOWED["counting"]
    assert len(MODULES) > 30
    assert set(imports(PACKAGE / "counting" / "events.py")) & {"dmstats.counting.payload"}
