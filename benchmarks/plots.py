"""The plots of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from matplotlib import ticker
from matplotlib.figure import Figure


class Shown(Protocol):
    """A cost over its work."""

    cost: str
    work: str
    points: list[tuple[float, float]]


@contextmanager
def _figure(path: Path, *, rows: int = 1, height: float = 2.6, width: float = 7.0) -> Iterator[Any]:
    figure = Figure(figsize=(width, height * rows), dpi=90)
    yield [row[0] for row in figure.subplots(rows, 1, squeeze=False)]
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def line(points: Sequence[tuple[float, float]], title: str, path: Path, *, ylabel: str) -> None:
    """One line over seconds."""
    with _figure(path) as (axes,):
        axes.plot(*zip(*points, strict=True), linewidth=1.5)
        axes.set(xlabel="seconds", ylabel=ylabel, title=title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)


def curves(found: Sequence[Shown], path: Path) -> None:
    """Every curve on logarithmic axes; those over the same work share a picture."""
    works = list(dict.fromkeys(curve.work for curve in found))
    with _figure(path, rows=len(works)) as pictures:
        for axes, work in zip(pictures, works, strict=True):
            shown = [curve for curve in found if curve.work == work]
            for curve in shown:
                axes.loglog(*zip(*curve.points, strict=True), marker="o", label=curve.cost)
            axes.set(xlabel=work)
            axes.set_xticks(sorted({at for curve in shown for at, _ in curve.points}))
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter("{x:,.10g}")
                axis.set_minor_formatter(ticker.NullFormatter())
            axes.tick_params(labelsize=8)
            axes.grid(alpha=0.3, which="both")
            axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def series(
    lines: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    path: Path,
    *,
    marks: Sequence[float] = (),
) -> None:
    """A picture per unit, each with its lines over minutes; ``marks`` are drawn through all."""
    with _figure(path, rows=len(lines), height=2.2) as pictures:
        for axes, (unit, several) in zip(pictures, lines.items(), strict=True):
            for name, points in several.items():
                if points:
                    axes.plot(*zip(*points, strict=True), linewidth=1.0, label=name)
            for mark in marks:
                axes.axvline(mark, color="grey", linewidth=0.6, linestyle=":")
            axes.set(ylabel=unit)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            axes.legend(fontsize=7, loc="lower right")
        pictures[-1].set(xlabel="minutes")


def bars(results: Mapping[str, Mapping[str, float]], unit: str, path: Path) -> None:
    """A picture per shape, each from zero: contestants one under the other, in the order told."""
    names = list(dict.fromkeys(name for told in results.values() for name in told))
    colours = {name: f"C{at}" for at, name in enumerate(names)}
    with _figure(path, rows=len(results), height=1.5) as pictures:
        for axes, (shape, told) in zip(pictures, results.items(), strict=True):
            drawn = axes.barh(list(told), list(told.values()), color=[colours[n] for n in told])
            axes.bar_label(drawn, fmt="{:,.0f}", padding=3, fontsize=8)
            axes.invert_yaxis()
            axes.margins(x=0.12)
            axes.set_title(f"{shape}, {unit}", fontsize=9, loc="left")
            axes.tick_params(labelsize=8)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.grid(alpha=0.3, axis="x")
