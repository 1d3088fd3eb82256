"""What a benchmark found, written where people read it: tables in docs, raw data beside them."""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil

from benchmarks.databases import EMBEDDED, Databases
from benchmarks.programs import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
RAW = ROOT / "docs" / "benchmarks"


class Result(msgspec.Struct):
    """Markdown for the page, and everything that was measured for whoever wants to look closer."""

    markdown: str
    raw: Any


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


def machine(databases: Databases | None) -> str:
    """One line on what the figures were taken on."""
    names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = psutil.virtual_memory().total / 2**30
    database = f" {databases.info()} ·" if databases else ""
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {os.cpu_count()} cores"
        f" ({names[0] if names else platform.machine()}), {memory:.0f} GiB ·"
        f" Linux {platform.release().split('-')[0]}, Python {platform.python_version()} ·"
        f"{database} load before the run {os.getloadavg()[0]:.1f}"
    )


def place(name: str, kind: str) -> str:
    """What the figures of benchmark ``name`` on a database of ``kind`` are called: those of others
    stand beside those of the embedded one, not in their place."""
    return name if kind == EMBEDDED else f"{name}-{kind}"


def kept(name: str, *, folder: Path = RAW) -> Any:
    """What was measured when ``name`` was last run, None if it never was."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["measured"] if path.exists() else None


def write(
    name: str, result: Result, about: str, *, quick: bool, page: Path = PAGE, folder: Path = RAW
) -> None:
    """Keep the raw data and put the table between this benchmark's markers in the page."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"machine": about, "quick": quick, "measured": result.raw}
    text = json.dumps(told, indent=1, default=float)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    note = f"*{about}{' · quick run' if quick else ''}*"
    if not insert(page, name, f"{result.markdown}\n\n{note}"):
        print(f"{page.name} has no markers for {name}: kept as raw data alone", flush=True)


def insert(page: Path, name: str, text: str) -> bool:
    """Put ``text`` between the markers of ``name``; whether the page has them."""
    old = page.read_text(encoding="utf-8")
    pattern = re.compile(rf"<!-- begin {name} -->.*?<!-- end {name} -->", re.DOTALL)
    if not pattern.search(old):
        return False
    section = f"<!-- begin {name} -->\n{text}\n<!-- end {name} -->"
    page.write_text(pattern.sub(lambda _: section, old), encoding="utf-8")
    return True
