"""Flows, beside as many jobs that do not wait for each other

The base ("raw") is pyqueue itself with unrelated jobs that carry a flow id, in turn. All at durability "process",
since waiting for the disk would hide the difference.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench.measure import Row, compare, folder
from pyqueue import Job, PyQueue

BATCH = 50
WIDTH = 100


def run(*, quick: bool) -> list[Row]:
    nodes, rounds = (1_000, 3) if quick else (10_000, 5)
    with ExitStack() as stack:
        path = stack.enter_context(folder())
        queue = stack.enter_context(PyQueue(path / "flows.db", durability="process"))
        queue.stats("q")
        return [*_flows(queue, nodes, rounds), *_joints(queue, nodes, rounds)]


def _flows(queue: PyQueue, nodes: int, rounds: int) -> list[Row]:
    """Layers of a hundred, each job behind two of the layer before; and one long line."""
    free = [{"name": "n", "flow_id": "free"}] * nodes
    layers = _graph(nodes, lambda number: [number - WIDTH, number - WIDTH + 1] if number >= WIDTH else [])
    line = _graph(nodes, lambda number: [number - 1] if number else [])
    rows = []
    for what, flow in (("in layers of 100", layers), ("in one line", line)):
        name = f"flow of {nodes:,} {what}"
        rows.append(
            compare(
                f"push of a {name}, one transaction",
                _push(queue, "free", free),
                _push(queue, "flow", flow),
                rounds=rounds,
            )
        )
    queue.purge("free")
    queue.purge("flow")
    rows.append(
        compare(
            f"completion of a flow of {nodes:,} in layers of 100",
            _completion(queue, "free", free),
            _completion(queue, "flow", layers),
            rounds=rounds,
        )
    )
    return rows


def _graph(nodes: int, parents: Callable[[int], list[int]]) -> list[dict[str, Any]]:
    return [
        {"name": "n", "ref": f"{number}", "flow_id": "flow", "depends_on": list(map(str, parents(number)))}
        for number in range(nodes)
    ]


def _push(queue: PyQueue, name: str, jobs: list[dict[str, Any]]) -> Callable[[], int]:
    return lambda: len(queue.push_many(name, jobs))


def _completion(queue: PyQueue, name: str, jobs: list[dict[str, Any]]) -> Callable[[], int]:
    def complete() -> int:
        queue.push_many(name, jobs)
        while taken := queue.pull(name, count=BATCH):
            queue.ack_many(taken)
        return len(jobs)

    return complete


def _joints(queue: PyQueue, number: int, rounds: int) -> list[Row]:
    """Single ends on which much depends, beside the ack of a job on which nothing does."""
    plain = _milliseconds(lambda: _one(queue), queue.ack, rounds)
    measured: tuple[tuple[str, Callable[[], Job], Callable[[Job], object], float | None], ...] = (
        (f"ack of the last of {number:,} parents of one child", lambda: _last_of(queue, number), queue.ack, 10.0),
        (f"ack of the one parent of {number:,} children", lambda: _parent_of(queue, number), queue.ack, None),
        (
            f"final failure of the one parent of {number:,} children",
            lambda: _parent_of(queue, number),
            lambda job: queue.fail(job, "broken", retry=False),
            None,
        ),
    )
    rows = []
    for what, prepare, end, goal in measured:
        ours = _milliseconds(prepare, end, rounds)
        rows.append(_row(what, plain, ours, goal))
    return rows


def _row(what: str, raw: float, ours: float, goal: float | None) -> Row:
    aim, is_met = ("", None) if goal is None else (f"< {goal:.0f} ms", ours < goal)
    return Row(what, f"{raw:.2f} ms", f"{ours:.2f} ms", f"{ours / raw:.0f} times", aim, is_met)


def _milliseconds(prepare: Callable[[], Job], end: Callable[[Job], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        job = prepare()
        began = time.perf_counter()
        end(job)
        times.append((time.perf_counter() - began) * 1_000)
    return statistics.median(times)


def _one(queue: PyQueue) -> Job:
    queue.push("one", "n")
    return queue.pull("one")[0]


def _last_of(queue: PyQueue, number: int) -> Job:
    parents = queue.push_many("parents", [{"name": "n"}] * number)
    queue.push("child", "n", depends_on=parents)
    *others, last = queue.pull("parents", count=number)
    queue.ack_many(others)
    return last


def _parent_of(queue: PyQueue, number: int) -> Job:
    parent = queue.push("one", "n")
    queue.push_many("children", [{"name": "n", "depends_on": [parent]}] * number)
    return queue.pull("one")[0]
