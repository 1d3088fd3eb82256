"""Secrets that are generated once and kept in files."""

from __future__ import annotations

from pathlib import Path

from dmstats.core.settings import Settings
from dmstats.embedded.secrets import GENERATED, make_missing, point_to


def test_it_works(tmp_path: Path) -> None:
    make_missing({}, tmp_path)
    settings = Settings.from_env(point_to({}, tmp_path))
    settings.require("meta_app_secrets", "meta_verify_token", "cron_secret", "secret_key")
    assert settings.admin_api_token


def test_only_the_owner_reads_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_missing({}, tmp_path)
    (tmp_path / "SECRET_KEY").chmod(0o644)
    make_missing({}, tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_they_are_kept_and_all_different(tmp_path: Path) -> None:
    make_missing({}, tmp_path)
    first = [(tmp_path / name).read_text() for name in GENERATED]
    make_missing({}, tmp_path)
    assert [(tmp_path / name).read_text() for name in GENERATED] == first
    assert len(set(first)) == len(GENERATED)


def test_given_ones_are_left_alone(tmp_path: Path) -> None:
    environ = {
        "SECRET_KEY": "given-by-hand",
        "CRON_SECRET_FILE": "/run/secret",
        "META_APP_SECRET": "",
    }
    make_missing(environ, tmp_path)
    left = {"META_APP_SECRET", "META_VERIFY_TOKEN", "ADMIN_API_TOKEN"}
    assert {file.name for file in tmp_path.iterdir()} == left
    assert set(point_to(environ, tmp_path)) == {f"{name}_FILE" for name in left}


def test_one_that_is_given_later_wins(tmp_path: Path) -> None:
    make_missing({}, tmp_path)
    assert "SECRET_KEY_FILE" not in point_to({"SECRET_KEY": "given-by-hand"}, tmp_path)
