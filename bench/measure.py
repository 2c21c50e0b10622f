"""Taking turns, medians, and the facts of the machine."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of the results: a rate beside its limit, the ratio with its spread, and what was aimed at."""

    what: str
    limit: str
    ours: str
    ratio: str
    goal: str = ""
    is_met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        verdict = {True: "yes", False: "NO", None: ""}[self.is_met]
        return (self.what, self.limit, self.ours, self.ratio, self.goal, verdict)


COLUMNS = ("what", "limit", "pyqueue", "ratio (min–max)", "goal", "met")


def rate(action: Callable[[], int]) -> float:
    """Operations per second of one run; the action says how many it did."""
    started = time.perf_counter()
    done = action()
    return done / (time.perf_counter() - started)


def compare(
    what: str,
    limit: Callable[[], int],
    ours: Callable[[], int],
    *,
    rounds: int,
    goal: float | None = None,
    label: str = "/s",
) -> Row:
    """Runs both in turn, `rounds` times each after a warm-up, and gives the median of the ratios pair by pair."""
    limit(), ours()
    pairs = []
    for number in range(rounds):
        # Who goes first alternates, so that a drift of the machine favours neither.
        first, second = (limit, ours) if number % 2 else (ours, limit)
        rates = {first: rate(first), second: rate(second)}
        pairs.append((rates[limit], rates[ours]))
    ratios = [our / bare for bare, our in pairs]
    median = statistics.median(ratios)
    return Row(
        what,
        f"{statistics.median(bare for bare, _ in pairs):,.0f}{label}",
        f"{statistics.median(our for _, our in pairs):,.0f}{label}",
        f"{median:.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
        "" if goal is None else f"≥ {goal:.2f}",
        None if goal is None else median >= goal,
    )


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on a real disk: memory file systems flush for nothing."""
    with tempfile.TemporaryDirectory(prefix="pyqueue-bench-", dir=os.environ.get("PYQUEUE_BENCH_DIR")) as name:
        yield Path(name)


def machine() -> list[str]:
    """What the figures were measured on."""
    with folder() as path:
        kind = subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=False)
    return [
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, peewee {version('peewee')}, "
        f"msgspec {version('msgspec')}, file system {kind.stdout.strip() or 'unknown'}",
        time.strftime("%Y-%m-%d"),
    ]


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table, aligned to be read as text too."""
    cells = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
