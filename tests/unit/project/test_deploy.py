"""The files in deploy/: they parse, they agree with the code, and they ask for no privileges."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from dmstats.cli import COMMANDS
from dmstats.core.settings import Settings
from tests.proxy import example, nginx

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OURS = ("migrations", "web", "refresher")
KNOWN = {setting.metadata["env"] for setting in fields(Settings)}


def test_it_works() -> None:
    assert set(OURS) <= set(COMPOSE["services"])
    assert len(UNITS) == 2


def test_dockerfile_passes_the_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(hadolint), "--failure-threshold", "style", str(DEPLOY / "Dockerfile")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_image_runs_as_an_unprivileged_user() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d+$", text, re.MULTILINE)
    assert "--require-hashes" in text


def test_build_context_holds_what_the_build_needs_and_no_more() -> None:
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    assert [name for name in kept if not (ROOT / name).exists()] == []
    assert not {"var", "tests", ".git", "deploy"} & set(kept)


@pytest.mark.parametrize("name", OURS)
def test_compose_service_has_no_privileges(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert set(service["environment"]) <= KNOWN
    assert "privileged" not in service


def test_compose_has_one_refresher() -> None:
    assert COMPOSE["services"]["web"]["environment"]["STATS_REFRESHER"] == "off"
    command = COMPOSE["services"]["refresher"]["command"]
    assert command[1] in set(COMMANDS)


def test_environment_example_names_settings_that_exist() -> None:
    lines = (DEPLOY / "dmstats.env.example").read_text().splitlines()
    names = {
        line.lstrip("# ").partition("=")[0] for line in lines if re.match(r"#? ?[A-Z_]+=", line)
    }
    assert names <= KNOWN
    assert names >= {"MONGODB_URI", "REDIS_URL", "META_APP_SECRET", "SECRET_KEY"}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_units_pass_systemd(tmp_path: Path) -> None:
    copies = [tmp_path / unit.name for unit in UNITS]
    for unit, copy in zip(UNITS, copies, strict=True):
        # The programs that it starts are not on this machine.
        copy.write_text(re.sub(r"/opt/dmstats/bin/\w+", "/bin/true", unit.read_text()))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, copies)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    names = [unit.name for unit in UNITS]
    ours = [line for line in done.stderr.splitlines() if any(name in line for name in names)]
    assert ours == []


@pytest.mark.skipif(not nginx(), reason="needs nginx, of which there is no package here")
def test_nginx_takes_its_example(tmp_path: Path) -> None:
    program = nginx()
    assert program
    whole = tmp_path / "nginx.conf"
    text = example(tmp_path, program)
    whole.write_text(f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {text} }}")
    done = subprocess.run(
        [program, "-t", "-p", str(tmp_path), "-c", str(whole), "-e", str(tmp_path / "log")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_nginx_trusts_nothing_that_a_client_says_of_itself() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    for name in ("For", "Host", "Proto", "Port"):
        assert f"proxy_set_header X-Forwarded-{name} $" in text
    assert "$proxy_add_x_forwarded_for" not in text
    assert "proxy_buffering off" in text


def test_the_kubernetes_manifest_agrees_with_the_code() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/kubernetes.md").read_text(), re.DOTALL)
    manifest = {document["kind"]: document for document in yaml.safe_load_all(text)}
    environ = manifest["Secret"]["stringData"]
    for kind in ("Job", "Deployment"):
        pod = manifest[kind]["spec"]["template"]["spec"]
        assert pod["enableServiceLinks"] is False
        (container,) = pod["containers"]
        environ |= {each["name"]: each["value"] for each in container.get("env", [])}
    assert set(environ) <= KNOWN
    settings = Settings.from_env(environ)
    assert pod["terminationGracePeriodSeconds"] >= settings.drain_seconds + 15
    assert container["ports"] == [{"name": "http", "containerPort": Settings().port}]
    probes = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness")
    }
    assert probes == {"liveness": "/healthz", "readiness": "/readyz"}
    labels = manifest["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifest["Service"]["spec"]["selector"] == labels
