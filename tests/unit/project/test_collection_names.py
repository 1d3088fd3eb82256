"""Every collection is named in one module, and ours cannot be mistaken for the host platform's."""

from __future__ import annotations

import ast
from pathlib import Path

from dmstats.db import collection_names
from tests.sources import tree

ROOT = Path(__file__).resolve().parents[3]
NAMES = {
    value
    for name, value in vars(collection_names).items()
    if name.isupper() and name != "OWN_PREFIX"
}
SHARED = {"instagram_accounts", "users", "stats_cache"}
BEFORE = {"stats_hours", "stats_days", "account_activity", "audits", "committers"}
"""What was renamed: a module that still says so would begin a second set of figures."""
LOOKED_FOR = (NAMES | BEFORE) - {"users"}

MODULES = sorted(
    path
    for folder in ("dmstats", "migrations")
    for path in (ROOT / folder).rglob("*.py")
    if path.name not in {"collection_names.py", "m0001_own_collections.py"}
)


def spelt(path: Path) -> list[str]:
    """The names of collections that a module spells out, docstrings and JSON fields apart."""
    nodes = [*ast.walk(tree(path))]
    documents = {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = [
        str(node.value)
        for node in nodes
        if isinstance(node, ast.Constant) and id(node) not in documents and node.value in LOOKED_FOR
    ]
    return found + [
        node.slice.value
        for node in nodes
        if isinstance(node, ast.Subscript)
        and ast.unparse(node.value).rpartition(".")[2] in {"db", "_db", "replica", "database"}
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ]


def test_no_other_module_spells_one_out() -> None:
    found = {str(path.relative_to(ROOT)): spelt(path) for path in MODULES}
    assert len(found) > 30
    assert {name: names for name, names in found.items() if names} == {}


def test_all_but_the_shared_ones_carry_our_prefix() -> None:
    assert {name for name in NAMES if not name.startswith(collection_names.OWN_PREFIX)} == SHARED


def test_it_works(tmp_path: Path) -> None:
    """The rule above can fail."""
    module = tmp_path / "module.py"
    module.write_text('"""Of audits."""\nself._db["users"].find()\ndb[name]\nf("dmstats_hours")\n')
    assert spelt(module) == ["dmstats_hours", "users"]
