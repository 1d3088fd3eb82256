"""tools/prepare.py: which steps an installation takes, and what it says of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import prepare

RUN, DEV = prepare.KINDS["run"], prepare.KINDS["dev"]


@pytest.fixture(autouse=True)
def nothing_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A checkout in which nothing is installed, on a machine without npm."""
    monkeypatch.setattr(prepare, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(prepare, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr("shutil.which", lambda name: None)


def titles(kind: prepare.Kind, folder: Path) -> list[str]:
    steps = prepare.plan(kind is DEV, kind.lock, folder)
    return [title.partition(",")[0].partition(" (")[0] for title, _ in steps]


def test_it_works(tmp_path: Path) -> None:
    assert titles(RUN, tmp_path) == [
        "Python environment",
        "uv",
        "The packages of requirements.lock",
        "uPlot",
        "dmstats itself",
    ]
    assert "Node.js for the dashboard's tools" in titles(DEV, tmp_path)


@pytest.mark.parametrize("npm", [None, "/usr/bin/npm"])
def test_node_is_fetched_only_where_there_is_no_npm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, npm: str | None
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: npm)
    steps = prepare.plan(False, RUN.lock, tmp_path)
    (charts,) = (title for title, _ in steps if title.startswith("uPlot"))
    assert ("temporary Node.js" in charts) == (npm is None)


@pytest.mark.parametrize("name", [prepare.UV, prepare.NODE])
def test_what_is_fetched_for_the_installation_is_pinned(name: str) -> None:
    first, *hashes = prepare.locked(name).splitlines()
    assert first.startswith(f"{name}==")
    assert hashes
    assert all(line.strip().startswith("--hash=sha256:") for line in hashes[:-1])
    assert not hashes[-1].endswith("\\")


def test_a_package_that_is_not_locked_is_not_fetched() -> None:
    with pytest.raises(prepare.Failed, match="make lock"):
        prepare.locked("no-such-package")


SPEAKS = "print('Downloading all'); print(' + a==1'); print('disk full'); raise SystemExit({})"


def test_progress_is_shown_and_the_list_of_packages_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare.run([sys.executable, "-c", SPEAKS.format(0)], shown=prepare.PROGRESS)
    assert capsys.readouterr().out.split() == ["Downloading", "all"]


def test_a_step_that_fails_says_why_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        prepare.run([sys.executable, "-c", SPEAKS.format(3)], shown=prepare.PROGRESS)

    monkeypatch.setattr(prepare, "plan", lambda *_: [("The packages", fail), ("Never", fail)])
    assert prepare.main("run") == prepare.FAILED
    output = capsys.readouterr().out
    assert "disk full" in output
    assert "this step failed: The packages. It needs" in output
    assert "Never" not in output


def test_ctrl_c_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "plan", lambda *_: [("The packages", interrupted)])
    assert prepare.main("run") == prepare.INTERRUPTED
    assert "interrupted; the next start resumes" in capsys.readouterr().out


def test_an_installation_that_was_cut_short_is_repeated_wholly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """uv takes a package for installed of which only some files are there."""
    commands: list[Sequence[str | Path]] = []

    def interrupted(command: Sequence[str | Path], *_: object, **__: object) -> None:
        commands.append(command)
        if len(commands) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "run", interrupted)
    prepare.VENV.mkdir()
    uv = prepare.Uv(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        uv.install("-r", RUN.lock)
    uv.install("-r", RUN.lock)
    uv.install("-r", RUN.lock)
    assert ["--reinstall" in command for command in commands] == [False, True, False]


def test_an_environment_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    prepare.run([sys.executable, "-m", "venv", "--without-pip", prepare.VENV])
    (packages,) = prepare.VENV.glob("lib/python*/site-packages")
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    (packages / "pip-1.dist-info").mkdir()
    (packages / "pip-1.dist-info" / "METADATA").write_text("Name: pip\nVersion: 1\n")
    assert titles(RUN, tmp_path)[0] == "Python environment"
    (packages / "pip-1.dist-info" / "RECORD").write_text("pip/__init__.py,,\n")
    assert titles(RUN, tmp_path)[0] == "uv"


ENDLESS = """
import signal, sys
from tools import prepare
for number in prepare.SIGNALS:
    signal.signal(number, prepare.interrupt)
command = [sys.executable, "-c", "import time; print('Downloading', flush=True); time.sleep(60)"]
prepare.plan = lambda *_: [("Endless", lambda: prepare.run(command, shown=("Downloading",)))]
sys.exit(prepare.main("run"))
"""


@pytest.mark.parametrize("number", prepare.SIGNALS)
def test_many_signals_end_it_once_and_its_child(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        cwd=prepare.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout
    while "Downloading" not in process.stdout.readline():
        pass
    for _ in range(5):
        os.kill(process.pid, number)
        time.sleep(0.002)
    output = process.communicate(timeout=10)[0]  # the child holds the pipe, so it has ended, too
    assert process.returncode == prepare.INTERRUPTED
    assert "Traceback" not in output


@pytest.mark.parametrize("kind", [RUN, DEV])
def test_an_update_is_not_told_as_a_first_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: prepare.Kind
) -> None:
    monkeypatch.setattr(prepare, "plan", lambda *_: [])
    name = next(name for name, one in prepare.KINDS.items() if one is kind)
    assert prepare.main(name) == 0
    assert kind.about in capsys.readouterr().out
    prepare.VENV.mkdir()
    (prepare.VENV / kind.stamp).touch()
    assert prepare.main(name) == 0
    assert kind.about not in capsys.readouterr().out
