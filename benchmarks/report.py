"""Writes results: tables into docs/benchmarks.md, raw data as JSON beside it."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Sequence
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
    """Markdown for the page, everything that was measured, and notes that the measurements do not
    tell, such as what was left out."""

    markdown: str
    raw: Any
    notes: Sequence[str] = ()


Shown = Callable[[Any, str], str]
"""Markdown for the raw data of a benchmark and the name of its section; pure."""


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


def machine(databases: Databases | None) -> str:
    """One line about the machine and the database that were measured."""
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
    """The section for benchmark ``name`` on a database of ``kind``: other databases never replace
    the figures of the embedded one."""
    return name if kind == EMBEDDED else f"{name}-{kind}"


def kept(name: str, *, folder: Path = RAW) -> Any:
    """What was measured when ``name`` was last run, None if it never was."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["measured"] if path.exists() else None


def shown_again(name: str, shown: Shown, *, folder: Path = RAW) -> str | None:
    """The section ``name`` made again from the stored measurements, None without any."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    markdown = shown(told["measured"], name)
    return _section(markdown, told.get("notes", ()), told["machine"], quick=told["quick"])


def write(
    name: str, result: Result, about: str, *, quick: bool, page: Path = PAGE, folder: Path = RAW
) -> None:
    """Keep the raw data and put the table between this benchmark's markers in the page."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"machine": about, "quick": quick, "measured": result.raw}
    if result.notes:
        told["notes"] = list(result.notes)
    text = json.dumps(told, indent=1, default=float)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    if not insert(page, name, _section(result.markdown, result.notes, about, quick=quick)):
        print(f"{page.name} has no markers for {name}: kept as raw data alone", flush=True)


def _section(markdown: str, notes: Sequence[str], about: str, *, quick: bool) -> str:
    parts = [markdown, "\n".join(f"- {note}" for note in notes)]
    parts.append(f"*{about}{' · quick run' if quick else ''}*")
    return "\n\n".join(part for part in parts if part)


def insert(page: Path, name: str, text: str) -> bool:
    """Put ``text`` between the markers of ``name``; whether the page has them."""
    old = page.read_text(encoding="utf-8")
    pattern = re.compile(rf"<!-- begin {name} -->.*?<!-- end {name} -->", re.DOTALL)
    if not pattern.search(old):
        return False
    section = f"<!-- begin {name} -->\n{text}\n<!-- end {name} -->"
    page.write_text(pattern.sub(lambda _: section, old), encoding="utf-8")
    return True
