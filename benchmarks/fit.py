"""Fits over measured points: how a cost grows with its work, and non-negative least squares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FLAT = 0.1
LINEAR = (0.85, 1.15)


def exponent(work: Sequence[float], cost: Sequence[float]) -> float:
    """The e of ``cost ~ work ** e``: the slope of the logarithms; 0 where cost does not grow."""
    pairs = [(w, c) for w, c in zip(work, cost, strict=True) if w > 0 and c > 0]
    if len({w for w, _ in pairs}) < 2:
        raise ValueError("an exponent needs at least two different amounts of work")
    logs = np.log(np.array(pairs))
    slope, _ = np.polyfit(logs[:, 0], logs[:, 1], 1)
    return float(slope)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much y grows for each x, by least squares; 0 for less than two points."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    x, y = np.array(points).T
    found, _ = np.polyfit(x, y, 1)
    return float(found)


def in_words(found: float) -> str:
    """What an exponent means."""
    if abs(found) <= FLAT:
        return "constant"
    if found < 0:
        return "falls: more work shares the fixed cost"
    if found < LINEAR[0]:
        return "less than linear"
    return "linear" if found <= LINEAR[1] else "more than linear"


def non_negative(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """The coefficients of least relative squares of which none is below zero.

    The lowest below zero is left out and the rest fitted again, until there is none.
    """
    weights = 1 / np.asarray(values, dtype=float)
    matrix = np.asarray(rows, dtype=float) * weights[:, None]
    used = list(range(matrix.shape[1]))
    result = np.zeros(matrix.shape[1])
    while used:
        solved, *_ = np.linalg.lstsq(matrix[:, used], np.ones(len(matrix)), rcond=None)
        lowest = int(np.argmin(solved))
        if solved[lowest] >= 0:
            result[used] = solved
            break
        del used[lowest]
    return [float(value) for value in result]
