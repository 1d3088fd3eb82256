"""The documentation says what the code does: every setting, command, route and metric is there."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest
from flask import Flask

from dmstats.app import create_app
from dmstats.cli import COMMANDS
from dmstats.core.settings import Settings
from dmstats.db import collection_names
from docs.__main__ import PAGES
from docs.metrics import series

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
METRIC = re.compile(r"\bdmstats_[a-z_]*[a-z]\b")
COLLECTIONS = {
    value
    for name, value in vars(collection_names).items()
    if name.isupper() and not name.endswith("_PREFIX")
} | {f"{collection_names.LEDGER_PREFIX}{partition}" for partition in ("other", "YYYYMMDD")}


@pytest.fixture(scope="module")
def app() -> Flask:
    secret = "secret-of-the-test"
    return create_app(
        Settings(
            mongodb_uri="mongodb://127.0.0.1:1/",
            redis_url="redis://127.0.0.1:1/0",
            meta_app_secrets=(secret,),
            meta_verify_token=secret,
            cron_secret=secret,
            secret_key=secret,
        )
    )


@pytest.mark.parametrize("name", PAGES)
def test_written_pages_are_in_step(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run `make docs`"


def test_every_setting_is_documented_once() -> None:
    page = PAGES["configuration.md"]()
    for setting in fields(Settings):
        assert page.count(f"| `{setting.metadata['env']}`") >= 1
        assert setting.metadata["about"] in page


def test_every_command_is_documented() -> None:
    text = "".join(path.read_text() for path in TEXTS)
    assert [name for name in COMMANDS if f"dmstats {name}" not in text] == []


def test_every_route_is_documented(app: Flask) -> None:
    page = (DOCS / "http.md").read_text()
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert len(routes) > 20
    assert sorted(route for route in routes if f"`{route}`" not in page) == []
    told = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^` ?]*)`", page))
    webhook = "/api/webhooks/instagram"  # answers in front of Flask
    assert sorted(told - routes) == [f"GET {webhook}", f"POST {webhook}"]


def test_every_collection_is_documented() -> None:
    page = (DOCS / "architecture.md").read_text()
    assert sorted(name for name in COLLECTIONS if f"`{name}`" not in page) == []


def test_every_collection_has_a_line_about_privacy() -> None:
    page = (DOCS / "privacy.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-zA-Z_]+)`", row[1])}
    assert sorted(COLLECTIONS ^ named) == []
    assert all(len(row) == 7 and all(cell.strip() for cell in row[1:6]) for row in rows)


def test_every_metric_that_the_documentation_names_exists() -> None:
    known = series()
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in known}
    for path in TEXTS:
        told = set(METRIC.findall(path.read_text())) - COLLECTIONS
        assert told - known - families == set(), path


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    for link in links:
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        found = (path.parent / target) if target else path
        assert found.exists(), link
        if anchor:
            assert anchor in anchors(found.read_text()), link


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"\btests/[\w/]+\.py\b", path.read_text()))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


NAMED = re.compile(r"`([\w/]+\.py)::([\w:]+)`")
"""A test, as the page about security names it."""


def claims() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each row of the page about security: what holds, and the files and names of its tests."""
    page = (DOCS / "security.md").read_text().partition("## Your responsibilities")[0]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [(row[0], NAMED.findall(row[-1])) for row in rows if row[0] != "what holds"]


def test_each_claim_about_security_is_a_sentence_with_its_tests() -> None:
    assert len(claims()) > 150
    for claim, tests in claims():
        assert re.fullmatch(r"[A-Z`].*\.", claim), claim
        assert not re.search(r"\. [A-Z`]", claim), f"two sentences: {claim}"
        assert tests, claim


def test_the_tests_of_the_claims_exist() -> None:
    files = {file for _, tests in claims() for file, _ in tests}
    existing = {(file, name) for file in files for name in names_in(ROOT / "tests" / file)}
    assert {test for _, tests in claims() for test in tests} - existing == set()


def names_in(path: Path) -> set[str]:
    """The tests in that file, those in classes as ``Class::test`` and, if no other has its name,
    as ``test``."""
    found: list[str] = []
    for node in ast.parse(path.read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        before = [node.name] if isinstance(node, ast.ClassDef) else []
        for each in inner:
            if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"):
                found += ["::".join([*before, each.name]), *([each.name] if before else [])]
    return {name for name in found if found.count(name) == 1}


def test_nothing_is_claimed_outside_the_table() -> None:
    page = (DOCS / "security.md").read_text().partition("## Your responsibilities")[0]
    prose = [line for line in page.splitlines() if line and not line.startswith(("#", "|"))]
    assert " ".join(prose).count(". ") <= 2, "an introduction, and no claims"


def test_every_page_is_in_the_index() -> None:
    for folder in (DOCS, DOCS / "decisions"):
        index = (folder / "README.md").read_text()
        pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
        assert sorted(name for name in pages if f"({name})" not in index) == []
