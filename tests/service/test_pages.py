"""The pages and their files, without a browser."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dmstats.web.middleware.problems import register_errors
from dmstats.web.pages.assets import Assets, AssetsMissing, find_folder
from dmstats.web.pages.views import register_pages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "main.js").write_text('import { a } from "./a.js";\n')
    (tmp_path / "js" / "start.js").write_text('import { b } from "./b.js";\n')
    (tmp_path / "js" / "a.js").write_text('import {\n  b,\n} from "./b.js";\n')
    (tmp_path / "js" / "b.js").write_text("export const b = 1;\n" * 50)
    (tmp_path / "index.html").write_text("{{ secret }}")
    return tmp_path


@pytest.fixture
def client(folder: Path) -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    register_errors(app)
    register_pages(app, folder)
    return app.test_client()


def test_it_works(folder: Path, client: FlaskClient) -> None:
    answer = client.get(Assets(folder).address("js/main.js"))
    assert answer.status_code == 200
    assert answer.content_type == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_another_versions_address_is_answered_but_not_kept(client: FlaskClient) -> None:
    for address in ("/static/js/b.js", "/static/v-000000000000/js/b.js"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"
        again = client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304


def test_files_are_compressed_if_the_client_accepts_it(client: FlaskClient) -> None:
    plain = client.get("/static/js/b.js")
    packed = client.get("/static/js/b.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data)
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert "Accept-Encoding" in packed.headers["Vary"]


@pytest.mark.parametrize(
    "path",
    ["index.html", "js", "", "../pages.py", "js/../index.html", "v-1/../index.html", "%2e%2e/x"],
)
def test_nothing_but_the_files_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_the_version_changes_with_every_file(folder: Path) -> None:
    before = Assets(folder).version
    assert Assets(folder).version == before
    (folder / "js" / "b.js").write_text("export const b = 2;")
    assert Assets(folder).version != before


def test_modules_are_found_through_their_imports(folder: Path) -> None:
    assert Assets(folder).modules("js/main.js") == ["js/main.js", "js/a.js", "js/b.js"]


def test_modules_are_found_across_folders(folder: Path) -> None:
    (folder / "js" / "wire").mkdir()
    (folder / "js" / "b.js").write_text('import { c } from "./wire/c.js";\nexport const b = c;')
    (folder / "js" / "wire" / "c.js").write_text(
        'import { d } from "../d.js";\nexport const c = d;'
    )
    (folder / "js" / "d.js").write_text("export const d = 1;")
    assert Assets(folder).modules("js/b.js") == ["js/b.js", "js/wire/c.js", "js/d.js"]


def test_sheets_that_a_page_joins_are_packed_once(folder: Path) -> None:
    (folder / "css").mkdir()
    for name in ("a", "b"):
        (folder / "css" / f"{name}.css").write_text(f".{name} {{}}\n")
    assets = Assets(folder)
    asked = assets.find("css/a+b.css")
    assert asked is not None
    assert assets.find("css/a+b.css") is not asked, "kept for anybody who asks"
    assets.address("css/a+b.css")
    named = assets.find("css/a+b.css")
    assert named == asked
    assert assets.find("css/a+b.css") is named


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(AssetsMissing, match=r"js/nowhere\.js"):
        Assets(folder).address("js/nowhere.js")


def test_the_real_dashboard_names_only_files_that_are_there() -> None:
    """What is vendored comes with the build."""
    folder = find_folder()
    assets = Assets(folder)
    templates = "".join(path.read_text() for path in folder.glob("*.html"))
    named = set(re.findall(r"asset\('([^'~]+)'\)", templates))
    named |= set(re.findall(r'include "(icons/[\w-]+\.svg)"', templates))
    assert len(named) > 8
    assert [
        name for name in named if not name.startswith("vendor/") and not assets.find(name)
    ] == []


def test_no_template_has_inline_script_or_style() -> None:
    """Figures in a script element of their own type are data: no policy forbids them."""
    inline = re.compile(r"<script(?![^>]*(?:src=|json))|<style|\sstyle=|\son\w+=")
    for path in find_folder().glob("*.html"):
        assert not inline.search(path.read_text()), path.name


def test_browsers_do_not_get_our_comments(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "vendor").mkdir()
    (tmp_path / "index.html").write_text("")
    code = (
        "/** What it is.\n * In two lines. */\n\nconst a = 1; /* kept: beside code */\n"
        "  /** @type {number} */\n  const b = /** @type {number} */ (c);\n"
        "/** @type {X} */ (d).e();\nconst glob = '/**';\n/** Last. */\nf('*/');\n"
    )
    (tmp_path / "js" / "a.js").write_text(code)
    (tmp_path / "vendor" / "a.js").write_text(code)
    assets = Assets(tmp_path)
    ours, theirs = assets.find("js/a.js"), assets.find("vendor/a.js")
    assert ours
    assert theirs
    assert theirs.body.decode() == code
    assert ours.body.decode() == (
        "\nconst a = 1; /* kept: beside code */\n  const b = /** @type {number} */ (c);\n"
        "/** @type {X} */ (d).e();\nconst glob = '/**';\nf('*/');\n"
    )
