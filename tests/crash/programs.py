"""Programs to be killed: each does one thing to a queue for ever, and writes a line for what was acknowledged.

A line is one write to a pipe, made after the call returned: what it says, the queue has promised.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

from pyqueue import PyQueue, PyQueueError


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def push_singles(queue: PyQueue) -> None:
    while True:
        say("pushed", queue.push("work", "single", {"n": 1}))


def push_batches(queue: PyQueue) -> None:
    while True:
        say("pushed", *queue.push_many("work", [{"name": "batch", "data": n, "tags": ["t"]} for n in range(20)]))


def push_from_tasks(queue: PyQueue) -> None:
    async def one() -> None:
        while True:
            say("pushed", await queue.apush("work", "task", {"n": 1}, max_attempts=5, backoff_delay_ms=1))

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(64)))

    asyncio.run(all_of_them())


def work(queue: PyQueue) -> None:
    draw = random.Random(os.getpid())
    while True:
        jobs = queue.pull("work", count=draw.choice([1, 5, 50]), wait_ms=100, lease_ms=300)
        for job in jobs:
            say("pulled", job.id, job.lease)
        if jobs and draw.random() < 0.1:
            queue.fail(jobs.pop(), "by chance", delay_ms=1)
        for result in queue.ack_many(jobs):
            if result.ok:
                say("acked", result.id)


def housekeep(queue: PyQueue) -> None:
    say("started")
    while True:
        queue.housekeep()


PROGRAMS = {program.__name__: program for program in (push_singles, push_batches, push_from_tasks, work, housekeep)}

if __name__ == "__main__":
    _, name, storage, durability = sys.argv
    try:
        PROGRAMS[name](PyQueue(storage, durability=durability))
    except PyQueueError as error:
        say("failed", repr(error))
        raise
