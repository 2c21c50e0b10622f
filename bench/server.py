"""The server: batches and single jobs over TCP, beside the same server with a store that does nothing.

One blocking client with the standard library's json, 5,000 jobs in batches of 50 over one connection, as the model's
published figures were taken: produce, consume (pull and acknowledge), and both in turn. "raw" is the ceiling: the same
server and client, nothing stored. "bare sqlite3" is what is left of it for any store on SQLite: the same server, and
behind it nothing but the statements, one table with one index, and the same flushes; in the column of pyqueue it
stands in its place. Single pushes come from a crowd of connections that send lines made beforehand; their
goal is a rate. The brokers run as this machine has them, each driven by its usual client in the same pattern: RabbitMQ
with persistent messages, each acknowledged; Redis lists with LPUSH and BRPOP; Celery with a solo worker in its
process; BullMQ with its own batches and a worker. "raw" beside a broker is the broker, and the ratio is pyqueue's to
it. All in turn, round by round.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import brokers
from bench.measure import Row, folder, ratio_row, spread, take_turns
from bench.tcp_clients import JOBS, Rates, batches, pushes
from pyqueue import PyQueue

GOALS = {"process": (0.65, 0.55, 0.60), "power": (0.45, 0.45, 0.45)}
# Connections, commands in flight on each, and the rate at full durability to be reached.
CROWDS = ((1, 1, None), (32, 1, None), (64, 1, 30_000), (8, 64, 120_000))
FINISHED = 1_000_000


def run(*, quick: bool) -> list[Row]:
    rounds = 3 if quick else 9
    with folder() as place, ExitStack() as stack:
        ports = {"nothing": stack.enter_context(server("nothing"))}
        for durability in GOALS:
            ports[durability] = stack.enter_context(server(str(place / f"{durability}.db"), durability))
            bare = server("bare", str(place / f"{durability}-bare.db"), durability)
            ports[f"bare, {durability}"] = stack.enter_context(bare)
        rows = [row for durability in GOALS for row in _batch_rows(ports, durability, rounds)]
        rows += [row for crowd in CROWDS for row in _crowd_rows(ports, *crowd, rounds=rounds, quick=quick)]
        rows += _broker_rows(ports["power"], 1 if quick else 3)
        rows += _size_rows(place, ports["process"], rounds, 10_000 if quick else FINISHED)
    return rows


@contextmanager
def server(*arguments: str) -> Iterator[int]:
    """A server process; gives its port."""
    command = [sys.executable, "-m", "bench.tcp_server", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def _batch_rows(ports: dict[str, int], durability: str, rounds: int) -> list[Row]:
    runs = _rounds([ports["nothing"], ports[durability], ports[f"bare, {durability}"]], rounds)
    rows = []
    for index, what in enumerate(Rates._fields):
        pairs = [(nothing[index], ours[index]) for nothing, ours, _ in runs]
        limit = [(nothing[index], bare[index]) for nothing, _, bare in runs]
        rows.append(ratio_row(f"{what}, batches of 50, {durability}", pairs, goal=GOALS[durability][index]))
        rows.append(ratio_row(f"{what}, bare sqlite3 in its place, {durability}", limit))
    return rows


def _rounds(ports: Sequence[int], rounds: int) -> list[tuple[Rates, ...]]:
    """The rates of each port in every round, after a warm-up; who goes first changes."""
    for port in ports:
        batches(port, JOBS // 10)
    taken = []
    for number in range(rounds):
        order = ports if number % 2 else ports[::-1]
        by_port = {port: batches(port) for port in order}
        taken.append(tuple(by_port[port] for port in ports))
    return taken


def _crowd_rows(
    ports: dict[str, int], clients: int, in_flight: int, goal: int | None, *, rounds: int, quick: bool
) -> list[Row]:
    seconds = 0.4 if quick else 1.0
    what = f"{clients} client{'s' * (clients > 1)}" + (f" with {in_flight} in flight" if in_flight > 1 else "")
    rows = []
    for durability in GOALS:
        waits: list[float] = []

        def measure(port: int, waits: list[float] = waits) -> float:
            crowd = pushes(port, clients, in_flight, seconds)
            waits.append(crowd.p99_ms)
            return crowd.rate

        def ours(port: int = ports[durability]) -> float:
            return measure(port)

        def bare() -> float:
            return pushes(ports["nothing"], clients, in_flight, seconds).rate

        runs = take_turns([bare, ours], rounds)
        row = ratio_row(f"single pushes, {what}, {durability}", runs, note=f", p99 {statistics.median(waits):.1f} ms")
        rows.append(row if durability == "process" or goal is None else _judged(row, runs, goal))
    return rows


def _judged(row: Row, runs: Sequence[tuple[float, ...]], goal: int) -> Row:
    rate = statistics.median(ours for _, ours in runs)
    return Row(row.what, row.raw, row.ours, row.ratio, f"≥ {goal:,}/s", rate >= goal)


def _broker_rows(port: int, rounds: int) -> list[Row]:
    rows = []
    for name, measure in brokers.available():
        measure()
        runs = [(measure(), batches(port)) for _ in range(rounds)]
        for index, what in enumerate(Rates._fields):
            pairs = [(theirs[index], ours[index]) for theirs, ours in runs]
            rows.append(ratio_row(f"{what}, beside {name}; power", pairs, goal=1.0))
    return rows


def _size_rows(place: Path, empty: int, rounds: int, finished: int) -> list[Row]:
    full = place / "full.db"
    with PyQueue(full, durability="process") as queue:
        for _ in range(finished // 10_000):
            queue.push_many("done", [{"name": "n"}] * 10_000)
            for _ in range(10):
                queue.ack_many(queue.pull("done", count=1_000))
    with server(str(full), "process") as port:
        runs = _rounds([empty, port], rounds)
    return [
        Row(
            f"{what}, batches of 50, {finished:,} finished jobs beside none",
            f"{statistics.median(few[index] for few, _ in runs):,.0f}/s",
            f"{statistics.median(many[index] for _, many in runs):,.0f}/s",
            spread([many[index] / few[index] for few, many in runs]),
            "≥ 0.90",
            statistics.median(many[index] / few[index] for few, many in runs) >= 0.9,
        )
        for index, what in enumerate(Rates._fields)
    ]
