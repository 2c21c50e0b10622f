"""Flows as a law: whatever happens to a random graph of jobs, it ends as the model says, and nothing stays blocked."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyqueue import Job, PyQueue, PyQueueError
from pyqueue.core.errors import StorageError
from pyqueue.core.store import connection as store_connection
from pyqueue.testing import FakeClock
from tests.crash.faults import Fault, armed, assert_sound, disk_error, faulty_connect
from tests.properties.model import DEAD, Model, ModelJob, Refused

LEASE_MS = 1_000
SIZES = st.one_of(st.integers(1, 12), st.integers(1, 60), st.integers(150, 200))
POLICIES = ["fail", "fail", "cancel", "run", "only"]
STEPS = ["work"] * 6 + ["ack", "ack", "fail", "die", "cancel", "delete", "retry", "retry flow", "cancel flow", "crash"]


class Graph:
    """A random flow in the database, and the same in the model."""

    def __init__(self, folder: str, draw: st.DataObject) -> None:
        self.path, self.clock, self.draw = Path(folder) / "jobs.db", FakeClock(), draw
        self.queue = PyQueue(self.path, clock=self.clock, durability="process")
        self.model = Model()
        self.runs: list[Job] = []
        self.ids = self._push()

    @property
    def now(self) -> int:
        return self.clock.now_us() // 1_000

    def _push(self) -> list[str]:
        """All jobs in one push: those with a higher number may wait for lower ones, but they stand in any order."""
        random = self.draw.draw(st.randoms(use_true_random=False))
        size = self.draw.draw(SIZES)
        width = random.choice([1, 3, size])
        jobs: list[dict[str, Any]] = []
        for number in range(size):
            near = range(max(0, number - width * 2), number)
            parents = random.sample(near, min(len(near), random.choice([0, 1, 1, 2, 5])))
            jobs.append(
                {
                    "name": "n",
                    "ref": f"{number}",
                    "flow_id": "f",
                    "max_attempts": 1,
                    "depends_on": [f"{parent}" for parent in parents],
                    "on_parent_failure": random.choice(POLICIES),
                    "remove_on_complete": random.random() < 0.1,
                }
            )
        order = random.sample(range(size), size)
        ids = dict(zip(order, self.queue.push_many("q", [jobs[number] for number in order]), strict=True))
        for number in range(size):
            parent_ids = tuple(ids[int(parent)] for parent in jobs[number]["depends_on"])
            job = ModelJob(
                order.index(number),
                "q",
                max_attempts=1,
                parents=parent_ids,
                on_parent_failure=jobs[number]["on_parent_failure"],
                remove_on_complete=jobs[number]["remove_on_complete"],
            )
            self.model.add(ids[number], job, self.now)
        self.model.jobs = dict(sorted(self.model.jobs.items()))  # What falls due together does so by age.
        return [ids[number] for number in range(size)]

    def step(self, what: str) -> None:
        getattr(self, "_" + what.replace(" ", "_"))()
        self.check()

    def check(self) -> None:
        stored = {job.id: job.state.value for job in self.queue.list_jobs(limit=1_000).jobs}
        expected = {job_id: job.state for job_id, job in self.model.jobs.items()}
        assert {each: (stored.get(each), expected.get(each)) for each in stored | expected} == {
            each: (state, state) for each, state in expected.items()
        }

    def _work(self) -> None:
        count = self.draw.draw(st.integers(1, 9))
        pulled = self.queue.pull("q", count=count, lease_ms=LEASE_MS)
        self.model.fall_due(self.now)
        assert [job.id for job in pulled] == self.model.ready("q")[:count]
        for job in pulled:
            self.model.start(job.id, LEASE_MS, self.now)
        self.runs += pulled

    def _take(self) -> list[Job]:
        number = self.draw.draw(st.integers(1, 5))
        taken, self.runs = self.runs[:number], self.runs[number:]
        return taken

    def _ack(self) -> None:
        taken = self._take()
        expected = [self._code(lambda job=job: self.model.ack(job.id, job.lease, self.now)) for job in taken]
        results = self.queue.ack_many(taken)
        assert [result.error.code if result.error else None for result in results] == expected

    def _fail(self) -> None:
        for job in self._take():
            self._same(
                lambda job=job: self.model.fail(job.id, job.lease, self.now),
                lambda job=job: self.queue.fail(job, "broken"),
            )

    def _die(self) -> None:
        """The workers are gone: their leases end, which counts as the last attempt."""
        self.clock.advance(ms=LEASE_MS)
        self.queue.housekeep()
        self.model.fall_due(self.now)

    def _cancel(self) -> None:
        self._intervene("cancel")

    def _delete(self) -> None:
        self._intervene("delete")

    def _retry(self) -> None:
        self._intervene("retry")

    def _intervene(self, verb: str) -> None:
        job_id = self.ids[self.draw.draw(st.integers(0, len(self.ids) - 1))]
        self._same(lambda: getattr(self.model, verb)(job_id, self.now), lambda: getattr(self.queue, verb)(job_id))

    def _retry_flow(self) -> None:
        roots = [job_id for job_id, job in self.model.jobs.items() if job.state in DEAD]
        assert self.queue.retry_flow("f") == len(self.model.revive(roots))

    def _cancel_flow(self) -> None:
        self.queue.cancel_flow("f")
        pending = [job_id for job_id, job in self.model.jobs.items() if job.state in ("waiting", "delayed", "blocked")]
        for job in self.model.jobs.values():
            if job.state == "active":
                job.is_cancel_requested = True
        for job_id in pending:
            self.model.jobs[job_id].state, self.model.jobs[job_id].ended_at = "cancelled", self.now

    def _crash(self) -> None:
        """The disk fails at some statement of an ack, which leaves no trace, and another handle opens the file."""
        taken = self._take()
        with armed(Fault(disk_error, self.draw.draw(st.integers(1, 12)))) as fault:
            try:
                self.queue.ack_many(taken)
            except StorageError:
                self.runs = taken + self.runs
        if not fault.has_struck:
            for job in taken:
                self._code(lambda job=job: self.model.ack(job.id, job.lease, self.now))
        self.queue.close()
        self.queue = PyQueue(self.path, clock=self.clock, durability="process")

    def _same(self, on_model: Any, on_queue: Any) -> None:
        expected = self._code(on_model)
        try:
            on_queue()
            code = None
        except PyQueueError as error:
            code = error.code
        assert code == expected

    def _code(self, on_model: Any) -> str | None:
        try:
            on_model()
        except Refused as refused:
            return refused.code
        return None

    def run_out(self) -> None:
        """Workers take what they can: in the end nothing is left to wait for."""
        while jobs := self.queue.pull("q", count=50, lease_ms=LEASE_MS):
            self.model.fall_due(self.now)
            for job in jobs:
                self.model.start(job.id, LEASE_MS, self.now)
                self.model.ack(job.id, job.lease, self.now)
            self.queue.ack_many(jobs)
        self._die()
        while jobs := self.queue.pull("q", count=50, lease_ms=LEASE_MS):
            for job in jobs:
                self.model.start(job.id, LEASE_MS, self.now)
                self.model.ack(job.id, job.lease, self.now)
            self.queue.ack_many(jobs)
        self.check()
        counts = self.queue.stats("q")
        assert counts.blocked + counts.waiting + counts.active + counts.delayed == 0, "something waits for ever"
        if self.queue.get_flow("f", limit=0).total:
            assert self.queue.get_flow("f", limit=0).is_finished

    def close(self) -> None:
        self.queue.close()
        assert_sound(self.path)


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_connection, "connect", faulty_connect)


def _law(examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(st.data())
    def law(data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory(prefix="pyqueue-dag-") as folder:
            graph = Graph(folder, data)
            graph.check()
            for what in data.draw(st.lists(st.sampled_from(STEPS), max_size=40)):
                graph.step(what)
            graph.run_out()
            graph.close()

    law()


@pytest.mark.timeout(600)  # A failure is shrunk for up to five minutes.
def test_random_flows_end_as_the_model_says_and_nothing_stays_blocked() -> None:
    _law(60)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_random_flows_end_as_the_model_says() -> None:
    _law(2_000)
