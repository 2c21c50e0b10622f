"""Taking turns, medians, and the facts of the machine."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

Rates = tuple[float, ...]

# A flush there is a no-op, and nothing measured on them would hold on a disk.
_MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "devtmpfs"})


@dataclass(frozen=True)
class Row:
    """One line of the results: a figure beside its limit, the ratio with its spread, and what was aimed at."""

    what: str
    raw: str
    ours: str
    ratio: str = ""
    goal: str = ""
    is_met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        verdict = {True: "yes", False: "NO", None: ""}[self.is_met]
        return (self.what, self.raw, self.ours, self.ratio, self.goal, verdict)


COLUMNS = ("what", "raw", "pyqueue", "ratio (min–max)", "goal", "met")


def rate(action: Callable[[], int]) -> float:
    """Operations per second of one run; the action says how many it did."""
    started = time.perf_counter()
    done = action()
    return done / (time.perf_counter() - started)


def repeat(action: Callable[[], object], times: int, size: int = 1) -> Callable[[], int]:
    """An action that does another one so many times, each of them worth `size` operations."""

    def run_all() -> int:
        for _ in range(times):
            action()
        return times * size

    return run_all


def take_turns(measures: Sequence[Callable[[], float]], rounds: int) -> list[Rates]:
    """Takes every measure once per round, after a warm-up; who goes first changes, so no drift favours anyone."""
    for measure in measures:
        measure()
    results = []
    for number in range(rounds):
        order = range(len(measures)) if number % 2 else reversed(range(len(measures)))
        taken = {index: measures[index]() for index in order}
        results.append(tuple(taken[index] for index in range(len(measures))))
    return results


def compare(
    what: str,
    raw: Callable[[], int],
    ours: Callable[[], int],
    *,
    rounds: int,
    goal: float | None = None,
) -> Row:
    """Rates of both, in turn, and the median of the ratios round by round."""
    return ratio_row(what, take_turns([lambda: rate(raw), lambda: rate(ours)], rounds), goal=goal)


def ratio_row(what: str, pairs: Sequence[Rates], *, goal: float | None = None, note: str = "") -> Row:
    """A row from (raw, ours) rates; the more the better. `note` stands behind our rate."""
    ratios = [ours / raw for raw, ours in pairs]
    return Row(
        what,
        f"{statistics.median(raw for raw, _ in pairs):,.0f}/s",
        f"{statistics.median(ours for _, ours in pairs):,.0f}/s{note}",
        spread(ratios),
        "" if goal is None else f"≥ {goal:.2f}",
        None if goal is None else statistics.median(ratios) >= goal,
    )


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median with the extremes: `0.62 (0.58–0.70)`."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder on a real disk, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pyqueue-bench-", dir=disk()) as name:
        yield Path(name)


def disk() -> Path:
    """Where files go: `PYQUEUE_BENCH_DIR`, else the first temporary folder that is not in memory."""
    chosen = os.environ.get("PYQUEUE_BENCH_DIR")
    for place in [chosen] if chosen else [tempfile.gettempdir(), "/var/tmp", str(Path.home())]:
        if Path(place).is_dir() and file_system(place) not in _MEMORY_FILE_SYSTEMS:
            return Path(place)
    raise SystemExit("no folder on a disk was found; name one in PYQUEUE_BENCH_DIR.")


def file_system(path: str) -> str:
    """The kind of file system a folder lies on, where the kernel tells (Linux)."""
    try:
        lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    place = Path(path).resolve()
    mounts = [(len(line[1]), line[2]) for line in lines if place.is_relative_to(line[1])]
    return max(mounts, default=(0, "unknown"), key=lambda mount: mount[0])[1]


def machine() -> list[str]:
    """What the figures were measured on."""
    return [
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, peewee {version('peewee')}, "
        f"msgspec {version('msgspec')}, psycopg {'' if find_spec('psycopg') else 'not '}installed",
        f"file system {file_system(str(disk()))}; a flush of 4 KiB takes {_flush_ms():.2f} ms",
        time.strftime("%Y-%m-%d"),
    ]


def _flush_ms() -> float:
    """The median of 50 small writes, each synced: what durability costs at least."""
    times = []
    with folder() as path, (path / "flush").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(b"\0" * 4096)
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1_000)
    return statistics.median(times)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, aligned to be read as text too."""
    cells = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
