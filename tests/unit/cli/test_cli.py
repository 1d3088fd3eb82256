"""The commands without a service: one plain line, the documented exit code, by every way in."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from flask.cli import cli as flask_command

import migrations.__main__ as migrate
from dmstats import __version__, cli
from dmstats.app import create_app
from dmstats.cli.command import Command, plain_errors
from dmstats.cli.simulate_command import _same as same_address
from dmstats.core.errors import ConfigError, StoreUnavailable
from dmstats.core.exit_codes import FAILED, INTERRUPTED, USAGE
from dmstats.core.settings import Settings
from dmstats.db import client as database
from dmstats.ops import logs as dmstats_logs

ROOT = Path(__file__).parents[3]
SECRET = "secret-of-the-test"
AWAY = {
    "MONGODB_URI": "mongodb://ada:hidden-pass@127.0.0.1:1/",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "META_APP_SECRET": SECRET,
    "META_VERIFY_TOKEN": SECRET,
    "CRON_SECRET": SECRET,
    "SECRET_KEY": SECRET,
}
AWAY_MS = 500
"""How long the commands look for a database that is away, instead of the usual 10 s."""

WORKS = [name for name in cli.COMMANDS if name not in ("run", "doctor")]
ARGUMENTS = {name: ["a@b.c"] for name in ("create-admin", "reset-password", "reset-second-factor")}
ARGUMENTS["forget-account"] = ["1784", "--yes"]


class Done:
    """What a command left: its exit code, and what it printed where."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in out + err
        assert not re.search(r"\w(Error|Exception)\b", out + err), out + err


@pytest.fixture
def dmstats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Any:
    """Runs `dmstats ARGUMENTS` on a data folder of its own, where nothing runs."""
    for name in {*AWAY, "DMSTATS_DATA_DIR"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DMSTATS_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setattr(database, "OPERATION_MS", AWAY_MS)

    def run(*arguments: str, **environ: str) -> Done:
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO("a password of the test\n"))
            capfd.readouterr()
            code = cli.main(arguments)
        return Done(code, *capfd.readouterr())

    return run


def test_it_works(dmstats: Any) -> None:
    assert dmstats("--version").out == f"dmstats {__version__}\n"
    shown = dmstats("--help").out
    for name in cli.COMMANDS:
        line = next(line for line in shown.splitlines() if line.startswith(f"  {name} "))
        assert not line.endswith("..."), "cut"
    assert "Exit codes:" in shown
    assert dmstats("run", "--help").code == 0


@pytest.mark.parametrize("command", WORKS)
def test_no_service_is_running(dmstats: Any, tmp_path: Path, command: str) -> None:
    done = dmstats(command, *ARGUMENTS.get(command, []))
    assert done.code == USAGE
    wanted = "MONGODB_URI" if command == "migrate" else "MONGODB_URI and REDIS_URL"
    assert done.err == (
        f"Error: No dmstats is running with the data folder {tmp_path / 'var'}. Start it (make "
        f"run), or set "
        f"{wanted}.\n"
    )


@pytest.mark.parametrize("command", WORKS)
def test_a_bad_setting(dmstats: Any, command: str) -> None:
    done = dmstats(command, *ARGUMENTS.get(command, []), PORT="abc", STATS_REFRESH_INTERVALL="3")
    assert done.code == USAGE
    assert "PORT: must be a whole number from 1 to 65535, not 'abc'" in done.err
    assert "did you mean STATS_REFRESH_INTERVAL?" in done.err


def test_secrets_that_are_missing_are_named(dmstats: Any) -> None:
    given = {name: AWAY[name] for name in ("MONGODB_URI", "REDIS_URL", "SECRET_KEY")}
    done = dmstats("audit", **given)
    assert done.code == USAGE
    assert done.err == "Error: Not set: META_APP_SECRET, META_VERIFY_TOKEN, CRON_SECRET.\n"


@pytest.mark.parametrize("command", ["audit", "refresh-stats", "reset-password", "migrate"])
def test_mongodb_is_away(dmstats: Any, command: str) -> None:
    done = dmstats(command, *ARGUMENTS.get(command, []), **AWAY)
    assert done.code == FAILED
    assert "cannot reach 127.0.0.1:1 (MONGODB_URI): connection refused" in done.err
    assert "hidden-pass" not in done.out + done.err


def test_the_doctor_examines_without_settings(dmstats: Any, tmp_path: Path) -> None:
    done = dmstats("doctor", "--json")
    assert done.code == FAILED
    first, *others = json.loads(done.out)
    assert (first["check"], first["verdict"]) == ("settings", "failure")
    assert f"No dmstats is running with the data folder {tmp_path / 'var'}" in first["found"]
    assert {"service", "disk"} <= {finding["check"] for finding in others}
    assert dmstats("doctor", "--json", PORT="abc").code == FAILED


def test_the_doctor_says_what_is_away(dmstats: Any) -> None:
    done = dmstats("doctor", "--json", **AWAY)
    assert done.code == FAILED
    found = {finding["check"]: finding["found"] for finding in json.loads(done.out)}
    assert found["mongodb"] == "cannot reach 127.0.0.1:1 (MONGODB_URI): connection refused"
    assert found["redis"] == "cannot reach Redis (REDIS_URL): connection refused"
    assert found["webhook"] == "http://127.0.0.1:8000 does not answer: connection refused"
    assert "hidden-pass" not in done.out + done.err


def test_the_doctor_takes_an_address_that_cannot_be_read(dmstats: Any) -> None:
    done = dmstats("doctor", "--json", **AWAY | {"REDIS_URL": "redis://u:hidden#pass@h/0"})
    assert done.code == FAILED
    found = json.loads(done.out)[0]["found"]
    assert found.startswith("REDIS_URL: must be an address with its user name and password")
    assert "hidden" not in done.out + done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", "--accounts", "0"],
        ["simulate", "--max-batch", "0"],
        ["simulate", "--parallel", "0"],
        ["simulate", "--duplicates", "2"],
        ["simulate", "--duplicates", "1"],
        ["simulate", "--rate", "0"],
        ["simulate", "--rate", "-5"],
        ["simulate", "--rate", "nan"],
        ["simulate", "--rate", "inf"],
        ["simulate", "--seconds", "0"],
        ["simulate", "--url", "nonsense"],
        ["simulate", "--url", "ftp://host"],
        ["simulate", "--url", "http://"],
        ["simulate", "--url", "http://h:99999"],
        ["doctor", "--url", "nonsense"],
        ["run", "--nonsense"],
        ["nonsense"],
        ["create-admin"],
        ["migrate", "--days", "0"],
    ],
    ids=" ".join,
)
def test_wrong_arguments(dmstats: Any, arguments: Sequence[str]) -> None:
    done = dmstats(*arguments)
    assert done.code == USAGE
    assert done.err.startswith("Usage: dmstats")
    assert done.out == ""


def test_an_address_says_how_it_must_begin(dmstats: Any) -> None:
    assert "must start with https:// or http://" in dmstats("doctor", "--url", "nonsense").err


def test_a_command_that_is_nearly_right(dmstats: Any) -> None:
    assert "Did you mean simulate?" in dmstats("simulat").err


class TestSimulateElsewhere:
    """Nothing is sent to what is not the embedded service, unless that is said to be meant."""

    def test_it_works(self, dmstats: Any) -> None:
        done = dmstats("simulate", "--url", "https://stats.example.com", **AWAY)
        assert done.code == USAGE
        assert "https://stats.example.com, database dmstats" in done.err
        assert "add --yes" in done.err

    def test_nor_purged(self, dmstats: Any) -> None:
        assert dmstats("simulate", "--purge", **AWAY).code == USAGE

    @pytest.mark.parametrize(
        ("one", "two", "same"),
        [
            ("http://localhost:8000", "http://127.0.0.1:8000", True),
            ("http://[::1]:8000", "http://127.0.0.1:8000", True),
            ("http://127.0.0.1:8001", "http://127.0.0.1:8000", False),
            ("https://localhost:8000", "http://127.0.0.1:8000", False),
            ("http://db1:8000", "http://127.0.0.1:8000", False),
        ],
    )
    def test_this_machine_has_several_names(self, one: str, two: str, same: bool) -> None:
        assert same_address(one, two) is same

    def test_an_address_that_does_not_answer(self, dmstats: Any) -> None:
        done = dmstats("simulate", "--yes", "--url", "http://127.0.0.1:9", **AWAY)
        assert done.code == FAILED
        assert "http://127.0.0.1:9 does not answer: connection refused" in done.err


class TestFlask:
    """`flask COMMAND` does the same."""

    @pytest.fixture
    def flask(
        self, dmstats: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> Any:
        """Runs `flask --app dmstats.app ARGUMENTS` where nothing runs."""
        monkeypatch.setenv("FLASK_RUN_FROM_CLI", "")  # Flask sets it
        monkeypatch.setattr(dmstats_logs, "configure", lambda *_: None)

        def run(*arguments: str) -> Done:
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                flask_command.main(["--app", "dmstats.app", *arguments], prog_name="flask")
            assert isinstance(ended.value.code, int)
            return Done(ended.value.code, *capfd.readouterr())

        return run

    def test_it_starts(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "dmstats.app", "audit"],
            env={"PATH": os.environ["PATH"], "DMSTATS_DATA_DIR": str(tmp_path)},
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (USAGE, "")
        told = f"Error: No dmstats is running with the data folder {tmp_path}."
        assert done.stderr.startswith(told)
        assert done.stderr.count("\n") == 1

    def test_the_doctor_without_settings(self, flask: Any) -> None:
        done = flask("doctor", "--json")
        assert done.code == FAILED
        assert json.loads(done.out)[0]["check"] == "settings"

    @pytest.mark.parametrize("arguments", [["audit"], ["refresh-stats"], ["run"], ["routes"]])
    def test_no_service_is_running(self, flask: Any, tmp_path: Path, arguments: list[str]) -> None:
        done = flask(*arguments)
        assert done.code == USAGE
        folder = tmp_path / "var"
        assert done.err.startswith(f"Error: No dmstats is running with the data folder {folder}.")
        assert done.err.count("\n") == 1

    def test_every_command_but_run_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "OPERATION_MS", AWAY_MS)
        app = create_app(
            Settings(
                mongodb_uri="mongodb://127.0.0.1:1/", redis_url="redis://127.0.0.1:1/0",
                meta_app_secrets=(SECRET,), meta_verify_token=SECRET, cron_secret=SECRET,
                secret_key=SECRET,
            )
        )  # fmt: skip
        listed = app.cli.list_commands(click.Context(app.cli))
        assert set(listed) == set(cli.COMMANDS) - {"run"}
        done = app.test_cli_runner().invoke(args=["reset-password", "a@b.c"])
        app.extensions["dmstats"].stop()
        assert done.exit_code == FAILED
        assert "cannot reach 127.0.0.1:1" in done.stderr


@pytest.mark.parametrize(
    ("environ", "code"),
    [({}, USAGE), ({"PORT": "abc"}, USAGE), (AWAY, FAILED)],
)
def test_python_m_migrations(
    environ: dict[str, str],
    code: int,
    dmstats: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert migrate.main([]) == code
    assert capfd.readouterr().err.startswith("migrations: ")


def test_without_a_command_line_bad_settings_are_an_error(
    dmstats: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "abc")
    monkeypatch.setattr("dmstats.ops.logs.configure", lambda *_: None)
    with pytest.raises(ConfigError, match="PORT"):
        create_app()


class TestInterrupted:
    @pytest.fixture(autouse=True)
    def interruptible(self) -> Iterator[None]:
        """A shell starts its background jobs with SIGINT ignored."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    def test_while_it_works(self) -> None:
        @click.command(cls=Command)
        def slow() -> None:
            signal.raise_signal(signal.SIGINT)

        done = CliRunner().invoke(slow)
        assert done.exit_code == INTERRUPTED
        assert done.stderr.strip() == "Interrupted."

    def test_while_it_is_imported(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def importing(name: str) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "load", importing)
        assert cli.main(["refresh-stats"]) == INTERRUPTED
        assert capsys.readouterr().err.strip() == "Interrupted."


def test_errors_carry_no_name() -> None:
    with pytest.raises(click.ClickException) as caught, plain_errors():
        raise StoreUnavailable(reason="MongoDB: AutoReconnect")
    assert "AutoReconnect" not in caught.value.format_message()
