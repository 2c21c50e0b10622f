"""PostgreSQL peers: no-op jobs through 1, 2, 4 and 8 workers, and from a push to its start, beside other queues on it.

One server, a database for each queue, all with their defaults, in turn within a round. "push": so many processes push
one job at a time, with no worker there; "push in 50s": by the call for many (django-tasks-db has none: 50 in a
transaction); "drain": jobs that all become visible at one moment, from when the first are done to the last; "end to
end": as many processes push one at a time as there are workers, from the first push to when no job is left. The
ratios are pyqueue's to the peer's, for each number of workers: ahead is above 1 for rates and below 1 for times.
pyqueue runs 8 jobs at a time on threads, Procrastinate 8 and pgqueuer batches of 10 on an event loop, django-tasks-db
one, and it looks for jobs every second. The server is that of the tests.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from bench.measure import Row, percentile
from bench.peer.processes import ROOT, answer, process, processor_seconds, python_of_peers, tell
from tests import servers

BUDGET_SECONDS = 170.0
KINDS = ("push", "push in 50s", "drain", "end to end")


class Peer(NamedTuple):
    """A queue and its worker. `jobs`: how many make a run of about a second with one worker; `pushes`: to be timed."""

    name: str
    module: str
    worker: tuple[str, ...]
    jobs: int
    pushes: int = 50


_PYQUEUE_FLAGS = ("--concurrency", "8", "--log-level", "warning")
OURS = Peer("pyqueue", "by_pyqueue", ("pyqueue", "worker", "bench.peer.by_pyqueue:queue", *_PYQUEUE_FLAGS), 2_000)
THEIRS = (
    Peer(
        "Procrastinate",
        "by_procrastinate",
        ("procrastinate", "--app=bench.peer.by_procrastinate.app", "worker", "--concurrency", "8"),
        300,
    ),
    Peer(
        "django-tasks-db",
        "by_django_tasks_db",
        ("django", "db_worker", "--queue-name", "bench", "--no-startup-delay", "--no-reload"),
        200,
        10,  # Each waits for up to a second.
    ),
    Peer("pgqueuer", "by_pgqueuer", ("bench.peer.by_pgqueuer",), 1_000),
)


@dataclass
class Figures:
    """What was measured of one queue: of each kind, for each number of workers, a value for each round."""

    rates: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    latency_ms: list[float] = field(default_factory=list)
    trouble: str = ""

    def note(self, kind: str, workers: int, rate: float) -> None:
        self.rates.setdefault((kind, workers), []).append(rate)


def run(*, quick: bool) -> Iterator[Row]:
    """The rows of the table."""
    rounds, pushes, numbers = (1, 20, (1, 2)) if quick else (2, 50, (1, 2, 4, 8))
    url = servers.server_url()
    if url is None:
        yield Row("PostgreSQL peers", "", "not measured: no PostgreSQL here")
        return
    python = python_of_peers("postgres")
    deadline = time.monotonic() + BUDGET_SECONDS
    figures = {peer: Figures() for peer in (OURS, *THEIRS)}
    with ExitStack() as stack:
        places = {peer: _Place(peer, python, stack.enter_context(_database(url))) for peer in figures}
        for place in places.values():
            place.install()
        for number in range(rounds):
            for workers in numbers:
                for peer in list(figures) if number % 2 else reversed(figures):
                    if not figures[peer].trouble and time.monotonic() < deadline:
                        _try(places[peer], workers, figures[peer], min(pushes, peer.pushes) if workers == 1 else 0)
    for peer in THEIRS:
        yield from _rows(peer, figures[peer], figures[OURS], numbers)


def _rows(peer: Peer, theirs: Figures, ours: Figures, numbers: tuple[int, ...]) -> Iterator[Row]:
    if trouble := theirs.trouble or ours.trouble:
        yield Row(peer.name, "", f"not measured: {trouble}")
        return
    for kind in KINDS:
        measured = [number for number in numbers if (kind, number) in theirs.rates and (kind, number) in ours.rates]
        pairs = [
            (statistics.median(theirs.rates[kind, number]), statistics.median(ours.rates[kind, number]))
            for number in measured
        ]
        yield Row(
            f"{peer.name}: {kind}, {' · '.join(map(str, measured))}",
            " · ".join(f"{their:,.0f}" for their, _ in pairs) + "/s",
            " · ".join(f"{our:,.0f}" for _, our in pairs) + "/s",
            " · ".join(f"{our / their:.1f}" for their, our in pairs),
            "> 1",
            all(our > their for their, our in pairs),
        )
    for share in (0.50, 0.99):
        their, our = percentile(theirs.latency_ms, share), percentile(ours.latency_ms, share)
        yield Row(
            f"{peer.name}: push → start, p{share * 100:.0f} of {len(theirs.latency_ms)}",
            f"{their:,.1f} ms",
            f"{our:,.1f} ms",
            f"{our / their:.2f}",
            "< 1",
            our < their,
        )


def _try(place: _Place, workers: int, figures: Figures, pushes: int) -> None:
    try:
        place.measure(workers, figures, pushes)
    except (TimeoutError, subprocess.SubprocessError, ValueError, OSError) as error:
        figures.trouble = str(error) or type(error).__name__


class _Place:
    """A queue in its database."""

    def __init__(self, peer: Peer, python: str, address: str) -> None:
        self._peer = peer
        self._python = python
        self._environment = {
            **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPATH": str(ROOT),
            "BENCH_FILE": address,
            "DJANGO_SETTINGS_MODULE": "bench.peer.django_settings",
        }

    def install(self) -> None:
        """Makes the tables."""
        with self._driver() as driver:
            tell(driver, "install 0")
            answer(driver)

    def measure(self, workers: int, figures: Figures, pushes: int) -> None:
        """One round with so many workers, and as many processes that push."""
        each = max(50, self._peer.jobs // workers // 50 * 50)
        with ExitStack() as stack:
            drivers = [stack.enter_context(self._driver()) for _ in range(workers)]
            for kind, command in (("push", "push"), ("push in 50s", "batches")):
                began, ended = self._together(drivers, f"{command} {each}")
                figures.note(kind, workers, workers * each / (ended - began))
            started = [stack.enter_context(self._worker()) for _ in range(workers)]
            first = drivers[0]
            tell(first, "finish 0")
            answer(first)
            _rest(started)
            if pushes:
                tell(first, f"latency {pushes}")
                figures.latency_ms += [seconds * 1_000 for seconds in answer(first)]
            tell(first, f"drain {each * workers}")
            figures.note("drain", workers, answer(first))
            began, _ = self._together(drivers, f"push {each}")
            tell(first, "finish 0")
            figures.note("end to end", workers, workers * each / (answer(first) - began))

    def _together(self, drivers: list[subprocess.Popen[str]], command: str) -> tuple[float, float]:
        """When the first of them began and the last ended."""
        for driver in drivers:  # Connected, so that they begin together.
            tell(driver, "push 1")
        for driver in drivers:
            answer(driver)
        for driver in drivers:
            tell(driver, command)
        spans = [answer(driver) for driver in drivers]
        return min(began for began, _ in spans), max(ended for _, ended in spans)

    def _driver(self) -> AbstractContextManager[subprocess.Popen[str]]:
        return process([self._python, "-m", "bench.peer.driver", self._peer.module], self._environment)

    def _worker(self) -> AbstractContextManager[subprocess.Popen[str]]:
        command = [self._python, "-m", *self._peer.worker]
        return process(command, self._environment, keeps_output=False, ends_in_peace=False)


def _rest(workers: list[subprocess.Popen[str]]) -> None:
    """Returns when all of them have started, and wait."""
    deadline = time.monotonic() + 20
    used = -1.0
    while time.monotonic() < deadline:
        before, used = used, sum(processor_seconds(worker.pid) for worker in workers)
        if used - before <= 0.03 * len(workers) and before > 0:
            return
        time.sleep(0.5)


@contextmanager
def _database(url: str) -> Iterator[str]:
    """A database of its own, dropped afterwards."""
    name = f"pyqueue_bench_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield url.rpartition("/")[0] + "/" + name
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
