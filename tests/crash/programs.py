"""Programs to be killed: each does one thing to a queue for ever, and writes a line for what was acknowledged.

A line is one write to a pipe, made after the call returned: what it says, the queue has promised.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

from pyqueue import Job, PyQueue
from pyqueue.core.errors import StateError
from tests.crash.firing import edit_schedules, fire_schedules
from tests.crash.limit_programs import hold_a_slot, push_unique, work_under_limits

Say = Callable[..., None]


def push_singles(queue: PyQueue, say: Say) -> None:
    while True:
        say("pushed", queue.push("work", "single", {"n": 1}))


def push_batches(queue: PyQueue, say: Say) -> None:
    while True:
        say("pushed", *queue.push_many("work", [{"name": "batch", "data": n, "tags": ["t"]} for n in range(20)]))


def push_from_tasks(queue: PyQueue, say: Say) -> None:
    async def one() -> None:
        while True:
            say("pushed", await queue.apush("work", "task", {"n": 1}, max_attempts=5, backoff_delay_ms=1))

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(64)))

    asyncio.run(all_of_them())


def work(queue: PyQueue, say: Say) -> None:
    draw = random.Random(os.getpid())
    while True:
        jobs = queue.pull("work", count=draw.choice([1, 5, 50]), wait_ms=100, lease_ms=300)
        for job in jobs:
            say("pulled", job.id, job.lease)
        if jobs and draw.random() < 0.1:
            _fail_by_chance(queue, jobs.pop())
        for result in queue.ack_many(jobs):
            if result.ok:
                say("acked", result.id)


def _fail_by_chance(queue: PyQueue, job: Job) -> None:
    try:
        queue.fail(job, "by chance", delay_ms=1)
    except StateError:
        return  # Its lease has ended meanwhile.


def run_flows(queue: PyQueue, say: Say) -> None:
    draw = random.Random(os.getpid())
    while True:
        parent = queue.push("flow", "parent", max_attempts=2, remove_on_complete=draw.random() < 0.3)
        for _ in range(2):
            try:
                queue.push("flow", "child", depends_on=[parent], unique_key=parent)
            except (StateError, ValueError):
                continue  # Others have ended the parent already, or the child of the same key lives.
        say("flow", parent)
        for job in queue.pull("flow", count=2, lease_ms=200):
            _end(queue, job, draw)


def _end(queue: PyQueue, job: Job, draw: random.Random) -> None:
    ways: list[Callable[[], object]] = [
        lambda: queue.ack(job),
        lambda: queue.fail(job, "by chance", delay_ms=0),
        lambda: queue.release(job),
        lambda: queue.cancel(job),
        lambda: queue.progress(job, 50, "half"),
    ]
    try:
        draw.choice(ways)()
    except StateError:
        return  # Its lease has ended meanwhile.


def step_in(queue: PyQueue, say: Say) -> None:
    while True:
        cancelled, deleted = queue.push_many("people", [{"name": "n", "tags": ["t"]}, {"name": "m", "tags": ["t"]}])
        queue.cancel(cancelled)
        say("cancelled", cancelled)
        queue.delete(deleted)
        say("deleted", deleted)


def housekeep(queue: PyQueue, say: Say) -> None:
    while True:
        queue.housekeep()
        say("kept")


def mix_threads_and_loops(queue: PyQueue, say: Say) -> None:
    """Two threads and an event loop push 300 jobs each; the same again work until nothing is left for a while."""

    def push() -> None:
        say("pushed", *[queue.push("work", "n", priority=n % 3) for n in range(300)])

    async def push_and_work() -> None:
        say("pushed", *await asyncio.gather(*(queue.apush("work", "n") for _ in range(300))))
        while jobs := await queue.apull("work", count=7, wait_ms=500):
            say("acked", *[result.id for result in await queue.aack_many(jobs) if result.ok])

    def work_off() -> None:
        while jobs := queue.pull("work", count=3, wait_ms=500):
            for job in jobs:
                queue.ack(job)
                say("acked", job.id)

    calls = [push, push, work_off, work_off, lambda: asyncio.run(push_and_work())]
    threads = [threading.Thread(target=_or_say, args=(call, say)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


ROLES = {
    program.__name__: program
    for program in (push_singles, push_batches, push_from_tasks, work, run_flows, step_in, housekeep)
}
PROGRAMS = ROLES | {
    program.__name__: program
    for program in (mix_threads_and_loops, fire_schedules, edit_schedules, work_under_limits, hold_a_slot, push_unique)
}


def main(role: str, path: str, durability: str, pipe: Connection) -> None:
    """What a process runs."""

    def say(*words: object) -> None:
        os.write(pipe.fileno(), (" ".join(map(str, words)) + "\n").encode())

    _or_say(lambda: PROGRAMS[role](PyQueue(path, durability=durability), say), say)


def _or_say(call: Callable[[], object], say: Say) -> None:
    try:
        call()
    except Exception as error:
        say("failed", repr(error))
        raise
