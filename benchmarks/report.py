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

from benchmarks.programs import ROOT, Databases

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


def machine(databases: Databases) -> str:
    """One line on what the figures were taken on."""
    names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {os.cpu_count()} cores"
        f" ({names[0] if names else platform.machine()}), {memory:.0f} GiB ·"
        f" Linux {platform.release().split('-')[0]}, Python {platform.python_version()} ·"
        f" {databases.info()} · load before the run {os.getloadavg()[0]:.1f}"
    )


def write(name: str, result: Result, about: str, *, quick: bool) -> None:
    """Keep the raw data and put the table between this benchmark's markers in the page."""
    RAW.mkdir(parents=True, exist_ok=True)
    kept = {"machine": about, "quick": quick, "measured": result.raw}
    text = json.dumps(kept, indent=1, default=float)
    (RAW / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    note = f"*{about}{' · quick run' if quick else ''}*"
    section = f"<!-- begin {name} -->\n{result.markdown}\n\n{note}\n<!-- end {name} -->"
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(rf"<!-- begin {name} -->.*?<!-- end {name} -->", re.DOTALL)
    if not pattern.search(page):
        print(f"docs/benchmarks.md has no markers for {name}: kept as raw data alone")
        return
    PAGE.write_text(pattern.sub(lambda _: section, page), encoding="utf-8")
