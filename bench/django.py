"""Django: pushes in the transaction of a request, and one worker, beside other queues of Django.

Each on a database of its own with the same settings (SQLite in WAL mode with immediate transactions; PostgreSQL as it
comes), in turn within a round. "push": one row and one job in a transaction, one at a time, with no worker there;
"drain": those jobs, from when the first are done to the last; "end to end": such transactions with the worker there,
from the first to when no job is left; "push → start": from before a transaction to the start of its job. The ratios are
pyqueue's to the peer's: ahead is above 1 for rates and below 1 for times and memory, which is that of the worker and
its children after all this. pyqueue runs 8 jobs at a time on threads, huey and django-tasks-db one, django-q2 has one
process for jobs, all with their own polling. huey cannot be part of the transaction: it is pushed to after the commit
(`on_commit_task`), on SQLite into a file of its own.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.measure import Row, folder, percentile
from bench.peer.processes import ROOT, answer, memory_mb, process, python_of_peers, tell
from tests import servers

BUDGET_SECONDS = 240.0
RATES = ("push", "drain", "end to end")


class Peer(NamedTuple):
    """A queue and its worker. `jobs`: how many make a run of about a second; `pushes`: to be timed."""

    name: str
    queue: str
    worker: tuple[str, ...]
    jobs: int
    pushes: int = 40


OURS = Peer("pyqueue", "pyqueue", ("rqworker", "--concurrency", "8", "--verbosity", "0"), 1_000)
THEIRS = (
    Peer(
        "django-tasks-db",
        "django_tasks_db",
        ("db_worker", "--queue-name", "bench", "--no-startup-delay", "--no-reload"),
        200,
        10,  # Each waits for up to a second.
    ),
    Peer("django-q2", "django_q", ("qcluster",), 200),
    Peer("huey", "huey", ("run_huey", "--quiet"), 500),
)


@dataclass
class Figures:
    """What was measured of one queue on one database, a value for each round; latencies of all rounds together."""

    rates: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in RATES})
    latency_ms: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    trouble: str = ""


def run(*, quick: bool) -> Iterator[Row]:
    """The rows of the table."""
    rounds, pushes = (1, 20) if quick else (3, 40)
    python, deadline = python_of_peers("django"), time.monotonic() + BUDGET_SECONDS
    for kind in ("SQLite", "PostgreSQL"):
        if kind == "PostgreSQL" and servers.server_url() is None:
            yield Row(kind, "", "not measured: no PostgreSQL here")
            continue
        figures = {peer: Figures() for peer in (OURS, *THEIRS)}
        for number in range(rounds):
            for peer in list(figures) if number % 2 else reversed(figures):
                if not figures[peer].trouble and (number == 0 or time.monotonic() < deadline):
                    _try(peer, kind, python, figures[peer], pushes)
        for peer in THEIRS:
            yield from _rows(f"{kind}, {peer.name}", figures[peer], figures[OURS])


def _rows(what: str, theirs: Figures, ours: Figures) -> Iterator[Row]:
    if trouble := theirs.trouble or ours.trouble:
        yield Row(what, "", f"not measured: {trouble}")
        return
    for kind in RATES:
        their, our = statistics.median(theirs.rates[kind]), statistics.median(ours.rates[kind])
        yield Row(f"{what}: {kind}", f"{their:,.0f}/s", f"{our:,.0f}/s", f"{our / their:.1f}", "> 1", our > their)
    for share in (0.50, 0.99):
        their, our = percentile(theirs.latency_ms, share), percentile(ours.latency_ms, share)
        name = f"{what}: push → start, p{share * 100:.0f} of {len(theirs.latency_ms)}"
        yield Row(name, f"{their:,.1f} ms", f"{our:,.1f} ms", f"{our / their:.2f}", "< 1", our < their)
    their, our = statistics.median(theirs.memory_mb), statistics.median(ours.memory_mb)
    yield Row(
        f"{what}: memory of the worker", f"{their:,.0f} MB", f"{our:,.0f} MB", f"{our / their:.2f}", "< 1", our < their
    )


def _try(peer: Peer, kind: str, python: str, figures: Figures, pushes: int) -> None:
    try:
        with folder() as place, _database(kind, place) as settings:
            _measure(peer, python, settings, figures, pushes)
    except (TimeoutError, subprocess.SubprocessError, ValueError, OSError) as error:
        figures.trouble = str(error) or type(error).__name__


def _measure(peer: Peer, python: str, settings: dict[str, str], figures: Figures, pushes: int) -> None:
    """One round: pushes, a worker that finds them, pushes beside it."""
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "bench.peer.site.settings",
        "BENCH_QUEUE": peer.queue,
        **settings,
    }
    with ExitStack() as stack:
        driver = stack.enter_context(process([python, "-m", "bench.peer.driver", "by_django"], environment))

        def ask(command: str) -> Any:
            tell(driver, command)
            return answer(driver)

        ask("install 0")
        ask("push 1")
        began, ended = ask(f"push {peer.jobs}")
        figures.rates["push"].append(peer.jobs / (ended - began))
        tell(driver, f"worked {peer.jobs + 1}")
        worker = stack.enter_context(process([python, "-m", "django", *peer.worker], environment, keeps_output=False))
        figures.rates["drain"].append(answer(driver))
        time.sleep(1.0)
        figures.latency_ms += [seconds * 1_000 for seconds in ask(f"latency {min(pushes, peer.pushes)}")]
        began, _ = ask(f"push {peer.jobs}")
        figures.rates["end to end"].append(peer.jobs / (ask("finish 0") - began))
        figures.memory_mb.append(memory_mb(worker.pid))


@contextmanager
def _database(kind: str, place: Path) -> Iterator[dict[str, str]]:
    """An empty database, as the project is told of it."""
    if kind == "SQLite":
        options = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode = WAL"}
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(place / "bench.db"), "OPTIONS": options}
        huey = {"huey_class": "huey.SqliteHuey", "filename": str(place / "huey.db")}
        yield {"BENCH_DATABASE": json.dumps(database), "BENCH_HUEY": json.dumps(huey)}
        return
    url, name = servers.server_url() or "", f"pyqueue_bench_{secrets.token_hex(4)}"
    known = {key.upper(): str(value) for key, value in conninfo_to_dict(url).items() if key != "dbname"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            database = {"ENGINE": "django.db.backends.postgresql", "NAME": name, **known}
            address = url.rpartition("/")[0] + "/" + name
            huey = {"huey_class": "huey.contrib.sql_huey.SqlHuey", "database": address}
            yield {"BENCH_DATABASE": json.dumps(database), "BENCH_HUEY": json.dumps(huey)}
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
