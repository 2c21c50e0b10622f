"""kill -9 at random moments: what was acknowledged is kept, and nothing has two owners."""

from __future__ import annotations

import random
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyqueue import Job, JobState, PyQueue
from tests.crash.faults import assert_sound
from tests.crash.nursery import Program
from tests.crash.programs import ROLES
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")

CREW = [*ROLES, "work"]
SINGLE_KILLS = 4  # of each round; then all that are left are killed at once
Promises = defaultdict[str, list[str]]


def test_sixty_kills_lose_nothing_that_was_acknowledged(path: Path) -> None:
    _kill_and_check(path, durability="power", kills=60)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("durability", ["power", "process"])
def test_hundreds_of_kills_lose_nothing_that_was_acknowledged(path: Path, durability: str) -> None:
    _kill_and_check(path, durability=durability, kills=360)


def _kill_and_check(path: Path, *, durability: str, kills: int) -> None:
    promises: Promises = defaultdict(list)
    draw = random.Random()
    for _ in range(kills // (len(CREW) + SINGLE_KILLS)):
        for line in _round_of_kills(path, durability, draw):
            verb, *words = line.split(" ")
            promises[verb] += [line] if verb in ("failed", "pulled") else words
        assert_sound(path)
    assert promises["failed"] == []
    for verb in ("pushed", "pulled", "acked", "flow", "cancelled", "deleted"):
        assert promises[verb], f"the programs were killed before any of them had {verb} anything"
    _check_promises(path, promises)


def _round_of_kills(path: Path, durability: str, draw: random.Random) -> Iterator[str]:
    """Kills programs one by one while the others go on, then all at once; gives what they have said."""
    crew = [Program(role, path, durability) for role in CREW]
    for program in crew:
        program.wait_for_a_line()
    for _ in range(SINGLE_KILLS):
        victim = crew.pop(draw.randrange(len(crew)))
        victim.run_on(draw.uniform(0, 0.1))
        yield from victim.kill()
        crew.append(Program(victim.role, path, durability))
    crew[0].run_on(draw.uniform(0, 0.2))
    for program in crew:
        program.process.kill()
    for program in crew:
        yield from program.finish()


def _check_promises(path: Path, promises: Promises) -> None:
    assert max(Counter(promises["acked"]).values()) == 1, "a job was completed twice"
    assert max(Counter(promises["pulled"]).values()) == 1, "two workers held the same lease"
    with PyQueue(path, durability="process") as queue:
        states = {job.id: job.state for job in _all_jobs(queue)}
        assert {states.get(job_id) for job_id in promises["acked"]} == {JobState.COMPLETED}
        assert {states.get(job_id) for job_id in promises["cancelled"]} == {JobState.CANCELLED}
        assert not states.keys() & set(promises["deleted"])
        assert states.keys() >= set(promises["pushed"])
        _work_to_the_end(queue)
        for name in ("work", "flow"):
            counts = queue.stats(name)
            assert counts.completed + counts.dlq + counts.cancelled == counts.total
        assert queue.stats("work").total >= len(promises["pushed"])
    assert_sound(path)


def _all_jobs(queue: PyQueue) -> Iterator[Job]:
    cursor = None
    while True:
        page = queue.list_jobs(limit=1_000, cursor=cursor)
        yield from page.jobs
        cursor = page.next_cursor
        if cursor is None:
            return


def _work_to_the_end(queue: PyQueue) -> None:
    def is_done() -> bool:
        queue.housekeep()
        while jobs := queue.pull(["work", "flow"], count=1_000):
            assert all(result.ok for result in queue.ack_many(jobs))
        return not any(
            counts.waiting + counts.delayed + counts.active + counts.blocked
            for counts in (queue.stats("work"), queue.stats("flow"))
        )

    eventually(is_done, seconds=60, what="all jobs done")
