"""Starting: `import pyqueue` and a first push beside bare Python, and the memory of a process that waits.

Wall time of whole processes, in turn. "without database drivers": a finder in `sys.meta_path`, put there by the
measured command itself, refuses psycopg, psycopg2, pymysql and MySQLdb, as if they were not installed; peewee
imports every driver it finds. The bare process has the same finder. Bytecode is kept, as after an installation.
Memory is the resident set (`VmRSS`).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.measure import Row, folder

IMPORT_GOAL_MS = 100.0

REFUSE_DRIVERS = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("psycopg", "psycopg2", "pymysql", "MySQLdb"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
"""
_IMPORT = "import pyqueue\n"
_IMPORT_OTHERS = "import peewee, msgspec, blinker\n"
_PUSH = "with pyqueue.PyQueue(sys.argv[1]) as queue: queue.push('q', 'send', {'to': 'user@example.org'})\n"
_RAW_PUSH = """
import json, sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("INSERT INTO pyqueue_job (queue, name, data) VALUES ('q', 'send', ?)",
                   (json.dumps({'to': 'user@example.org'}),))
connection.close()
"""
_SAY_MEMORY = """
def say(_=None):
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) for line in status if line.startswith("VmRSS")), flush=True)
"""
_WAIT = "import threading; threading.Timer(1.0, say).start(); time.sleep(1.2)\n"
_WORK = """
import os, threading, pyqueue
queue = pyqueue.PyQueue(sys.argv[1])
worker = queue.worker("q", print)
threading.Timer(1.0, say).start()
threading.Timer(1.2, worker.stop).start()
worker.run()
"""


def run(*, quick: bool) -> list[Row]:
    rounds = 5 if quick else 21
    drivers = [name for name in ("psycopg", "psycopg2", "pymysql", "MySQLdb") if find_spec(name)]
    rows = [_import_row("without database drivers", REFUSE_DRIVERS, rounds, IMPORT_GOAL_MS)]
    rows.append(_import_row("of which peewee, msgspec and blinker alone", REFUSE_DRIVERS, rounds, None, _IMPORT_OTHERS))
    if drivers:
        rows.append(_import_row(f"with {' and '.join(drivers)} installed", "import sys\n", rounds, None))
    else:
        rows.append(Row("import pyqueue with psycopg", "", "not measured: psycopg is not installed"))
    with folder() as path:
        rows.append(_push_row(path / "jobs.db", rounds))
        rows += _memory_rows(path / "jobs.db", drivers)
    return rows


def _import_row(what: str, prelude: str, rounds: int, goal_ms: float | None, program: str = _IMPORT) -> Row:
    pairs = _in_turn([prelude], [prelude + program], rounds)
    return _row(f"import pyqueue, {what}", pairs, goal_ms)


def _push_row(file: Path, rounds: int) -> Row:
    prelude = REFUSE_DRIVERS + _IMPORT
    _seconds([prelude + _PUSH, str(file)])
    raw = [REFUSE_DRIVERS + _RAW_PUSH, str(file)]
    pairs = _in_turn(raw, [prelude + _PUSH, str(file)], rounds)
    return _row("import, open a file, push, close (raw: sqlite3)", pairs, None)


def _row(what: str, pairs: Sequence[tuple[float, float]], goal_ms: float | None) -> Row:
    above = [(ours - bare) * 1_000 for bare, ours in pairs]
    ratios = [ours / bare for bare, ours in pairs]
    median = statistics.median(above)
    return Row(
        what,
        f"{statistics.median(bare for bare, _ in pairs) * 1_000:.0f} ms",
        f"+{median:.0f} ms ({min(above):.0f}–{max(above):.0f})",
        f"{statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})",
        "" if goal_ms is None else f"< +{goal_ms:.0f} ms",
        None if goal_ms is None else median < goal_ms,
    )


def _in_turn(bare: list[str], ours: list[str], rounds: int) -> list[tuple[float, float]]:
    _seconds(bare), _seconds(ours)  # Compiles what has no bytecode yet.
    pairs = []
    for number in range(rounds):
        if number % 2:
            first = _seconds(bare)
            pairs.append((first, _seconds(ours)))
        else:
            first = _seconds(ours)
            pairs.append((_seconds(bare), first))
    return pairs


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    _output(command)
    return time.perf_counter() - began


def with_bytecode() -> dict[str, str]:
    """This environment, but with bytecode kept, as on a machine that runs pyqueue."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _output(command: list[str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", *command], env=with_bytecode(), check=True, capture_output=True, text=True
    ).stdout


def _memory_rows(file: Path, drivers: Sequence[str]) -> list[Row]:
    if not Path("/proc/self/status").exists():
        return [Row("memory of a waiting worker", "", "not measured: no /proc here")]
    preludes = {"without database drivers": REFUSE_DRIVERS}
    if drivers:
        preludes[f"with {' and '.join(drivers)} installed"] = "import sys\n"
    return [_memory_row(f"memory of a waiting worker, {what}", file, prelude) for what, prelude in preludes.items()]


def _memory_row(what: str, file: Path, prelude: str) -> Row:
    bare = int(_output([prelude + "import time\n" + _SAY_MEMORY + _WAIT]))
    ours = int(_output([prelude + _SAY_MEMORY + _WORK, str(file)]).split()[-1])
    return Row(what, f"{bare / 1024:.1f} MB", f"{ours / 1024:.1f} MB", f"{ours / bare:.1f}")
