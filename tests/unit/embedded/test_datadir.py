"""The data folder: its lock and its note."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.embedded.attach import attach, running, stable_address
from dmstats.embedded.datadir import DataDir, Service, write_private

NO_PROCESS = 2**22 + 1  # over Linux' highest process id


def service(pid: int) -> Service:
    return Service(
        pid=pid, mongodb_uri="mongodb://m", redis_url=None, base_url="http://127.0.0.1:1"
    )


def test_it_works(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "a" / "var")
    with data.locked():
        assert not data.has_stale_note()
        data.announce(service(os.getpid()))
        assert data.service() == service(os.getpid())
        data.withdraw()
        assert data.service() is None
    assert data.path.stat().st_mode & 0o777 == 0o700


def test_lock_is_for_one(tmp_path: Path) -> None:
    with DataDir(tmp_path).locked():
        with pytest.raises(ConfigError, match="in use by another dmstats: stop that one"):
            DataDir(tmp_path).locked().__enter__()
        DataDir(tmp_path).announce(service(os.getpid()))
        with pytest.raises(ConfigError, match=rf"\(process {os.getpid()}, http://127.0.0.1:1\)"):
            DataDir(tmp_path).locked().__enter__()
    with DataDir(tmp_path).locked():
        pass


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="DMSTATS_DATA_DIR: Not a directory"):
        DataDir(tmp_path / "file" / "var").locked().__enter__()


def test_note_of_a_dead_service_says_only_that(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.announce(service(NO_PROCESS))
    assert data.service() is None
    assert data.has_stale_note()


def test_note_is_private(tmp_path: Path) -> None:
    DataDir(tmp_path).announce(service(os.getpid()))
    assert (tmp_path / "service.json").stat().st_mode & 0o777 == 0o600


def test_private_file_survives_an_interrupted_write(tmp_path: Path) -> None:
    (tmp_path / "it.new").write_text("half")
    write_private(tmp_path / "it", "whole")
    assert (tmp_path / "it").read_text() == "whole\n"
    assert [file.name for file in tmp_path.iterdir()] == ["it"]


def test_attach_to_nothing(tmp_path: Path) -> None:
    environ = {"DMSTATS_DATA_DIR": str(tmp_path / "missing")}
    assert attach(environ) == environ
    assert running(environ) is None


def test_attach_to_a_service(tmp_path: Path) -> None:
    environ = {"DMSTATS_DATA_DIR": str(tmp_path), "REDIS_URL": "redis://given"}
    DataDir(tmp_path).announce(service(os.getpid()))
    assert attach(environ) == {**environ, "MONGODB_URI": "mongodb://m"}
    assert running(environ) == service(os.getpid())


def test_what_is_given_stays(tmp_path: Path) -> None:
    environ = {"DMSTATS_DATA_DIR": str(tmp_path), "MONGODB_URI_FILE": "/run/uri"}
    DataDir(tmp_path).announce(service(os.getpid()))
    assert attach(environ) == environ


def test_attach_after_the_service_has_ended(tmp_path: Path) -> None:
    environ = {"DMSTATS_DATA_DIR": str(tmp_path)}
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "CRON_SECRET").write_text("kept-and-quite-long")
    DataDir(tmp_path).announce(service(NO_PROCESS))
    assert attach(environ) == {
        **environ,
        "CRON_SECRET_FILE": str(tmp_path / "secrets" / "CRON_SECRET"),
    }


def test_a_file_in_its_place_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with (
        pytest.raises(ConfigError, match=r"DMSTATS_DATA_DIR: .*/var is not a folder"),
        DataDir(tmp_path / "var").locked(),
    ):
        pass


def test_the_embedded_databases_other_port_is_the_same_database(tmp_path: Path) -> None:
    """So that its committers share one folder, and no start leaves another behind."""
    folder, addresses = tmp_path / "var", set()
    for port in (27001, 27002):
        uri = f"mongodb://127.0.0.1:{port}/"
        data = DataDir(folder)
        with data.locked():
            data.announce(Service(pid=os.getpid(), mongodb_uri=uri, redis_url=None, base_url="x"))
            addresses.add(stable_address(Settings(data_dir=folder, mongodb_uri=uri)))
    assert addresses == {str(folder)}
    given = "mongodb://db.example/"
    assert stable_address(Settings(data_dir=folder, mongodb_uri=given)) == given


def test_a_database_whose_first_start_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    for _ in range(2):  # the second start is cut short, too
        folder = data.mongodb_folder()
        assert [file.name for file in folder.iterdir()] == ["dmstats-incomplete"]
        (folder / "WiredTiger").touch()
    data.mongodb_folder()
    data.mongodb_complete()
    (folder / "WiredTiger").touch()
    assert [file.name for file in data.mongodb_folder().iterdir()] == ["WiredTiger"]


def test_a_database_of_an_earlier_version_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mongodb").mkdir()
    (tmp_path / "mongodb" / "WiredTiger").touch()
    for _ in range(2):
        folder = DataDir(tmp_path).mongodb_folder()
        assert [file.name for file in folder.iterdir()] == ["WiredTiger"]
