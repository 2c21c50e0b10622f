"""The law of the engine: whatever is done in whatever order, it does what the plain model does."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pyqueue import Job, JobState, PyQueue, PyQueueError
from pyqueue.core.signals import BY_EVENT, JobChange
from pyqueue.core.states import STATES
from pyqueue.core.transitions import TRANSITIONS
from pyqueue.testing import FakeClock
from tests.properties.model import LEASE_MS, Model, ModelJob, Refused

QUEUES = st.sampled_from(["a", "b"])
MS = st.sampled_from([0, 1, 500, 2_000, 40_000])

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(-2, 2),
        "lifo": st.booleans(),
        "max_attempts": st.integers(0, 3),
        "backoff": st.sampled_from(["fixed", "linear", "exponential"]),
        "backoff_delay_ms": MS,
        "timeout_ms": st.sampled_from([1, 1_500, 50_000]),
        "ttl_ms": MS,
        "delay_ms": MS,
        "unique_key": st.sampled_from(["u", "v"]),
        "remove_on_complete": st.booleans(),
        "remove_on_fail": st.booleans(),
    },
)


class Law(RuleBasedStateMachine):
    """A real queue on a real file beside the model."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="pyqueue-law-")
        self.path = os.path.join(self.folder, "jobs.db")
        self.clock = FakeClock()
        self.queue = PyQueue(self.path, clock=self.clock, durability="process")
        self.queue.stats("a")
        self.model = Model()
        self.illegal: list[tuple[JobState | None, JobChange]] = []
        self.runs: list[tuple[Job, int]] = []
        self.owners: set[tuple[str, int]] = set()
        self.seen: dict[str, JobState] = {}
        self.ids: list[str] = []
        for signal in set(BY_EVENT.values()):
            signal.connect(self._observe)

    def teardown(self) -> None:
        for signal in set(BY_EVENT.values()):
            signal.disconnect(self._observe)
        self.queue.close()
        shutil.rmtree(self.folder)

    def _observe(self, _sender: object, change: JobChange) -> None:
        """Every announced move must be in the table, and must begin where the last one ended."""
        rule_of_event = TRANSITIONS[change.event]
        before = self.seen.get(change.job_id)
        is_from_there = before in rule_of_event.sources if rule_of_event.sources else before is None
        is_to_there = change.state in rule_of_event.targets if rule_of_event.targets else change.state is None
        if not (is_from_there and is_to_there):
            self.illegal.append((before, change))
        if change.state is None:
            del self.seen[change.job_id]
        else:
            self.seen[change.job_id] = change.state

    @property
    def now(self) -> int:
        return self.clock.now_us() // 1_000

    # --- rules -----------------------------------------------------------------------------------

    @rule(queue=QUEUES, options=OPTIONS, parents=st.lists(st.integers(0, 30), max_size=2))
    def push(self, queue: str, options: dict[str, Any], parents: list[int]) -> None:
        depends_on = sorted({self.ids[-1 - number] for number in parents if number < len(self.ids)})
        self._push_all(queue, [options | ({"depends_on": depends_on} if depends_on else {})])

    @rule(queue=QUEUES, batch=st.lists(OPTIONS, min_size=2, max_size=5))
    def push_many(self, queue: str, batch: list[dict[str, Any]]) -> None:
        self._push_all(queue, batch)

    def _push_all(self, queue: str, batch: list[dict[str, Any]]) -> None:
        jobs = [self._model_job(queue, options) for options in batch]
        expected = None
        try:
            for position, job in enumerate(jobs):
                self.model.check_push(job, jobs[:position])
        except Refused as refused:
            expected = refused.code
        items = [{"name": "work", "data": position, **options} for position, options in enumerate(batch)]
        ids = self._expect(expected, lambda: self.queue.push_many(queue, items))
        for job_id, job in zip(ids or [], jobs, strict=not expected):
            self.model.add(job_id, job)
            self.ids.append(job_id)

    def _model_job(self, queue: str, options: dict[str, Any]) -> ModelJob:
        self.model.pushed += 1
        known = {name: value for name, value in options.items() if name not in ("ttl_ms", "delay_ms", "depends_on")}
        job = ModelJob(self.model.pushed, queue, parents=tuple(options.get("depends_on", ())), **known)
        job.expires_at = None if "ttl_ms" not in options else self.now + options["ttl_ms"]
        job.run_at = None if "delay_ms" not in options else self.now + options["delay_ms"]
        return job

    @rule(queues=st.sampled_from([["a"], ["b"], ["a", "b"], ["b", "a"]]), count=st.integers(1, 4))
    def pull(self, queues: list[str], count: int) -> None:
        expected = self.model.pull(queues, count, self.now)

        pulled = self.queue.pull(queues, count=count)

        assert [job.id for job in pulled] == expected
        for job in pulled:
            assert job.lease is not None and (job.id, job.lease) not in self.owners, "two owners of one lease"
            self.owners.add((job.id, job.lease))
            self.runs.append((job, job.lease))

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 20), names_lease=st.booleans())
    def ack(self, number: int, names_lease: bool) -> None:
        job, lease = self.runs[number % len(self.runs)]
        self._same(
            lambda: self.model.ack(job.id, lease if names_lease else None, self.now),
            lambda: self.queue.ack(job if names_lease else job.id, {"n": number}),
        )

    @precondition(lambda self: self.runs)
    @rule(numbers=st.lists(st.integers(0, 20), min_size=1, max_size=5))
    def ack_many(self, numbers: list[int]) -> None:
        jobs = [self.runs[number % len(self.runs)][0] for number in numbers]
        plain_first = sorted(range(len(jobs)), key=lambda position: not self._is_plain(jobs[position]))
        expected: list[str | None] = [None] * len(jobs)
        for position in plain_first:
            try:
                self.model.ack(jobs[position].id, jobs[position].lease, self.now)
            except Refused as refused:
                expected[position] = refused.code

        results = self.queue.ack_many(jobs)

        # Which of two acks of one job in one call succeeds is not promised; that exactly one does, is.
        assert sorted(str(result.error.code) if result.error else "" for result in results) == sorted(
            code or "" for code in expected
        )

    def _is_plain(self, job: Job) -> bool:
        return job.id in self.model.jobs and not self.model.jobs[job.id].remove_on_complete

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 20), names_lease=st.booleans())
    def fail(self, number: int, names_lease: bool) -> None:
        job, lease = self.runs[number % len(self.runs)]
        self._same(
            lambda: self.model.fail(job.id, lease if names_lease else None, self.now),
            lambda: self.queue.fail(job if names_lease else job.id, "broken"),
        )

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 20), delay_ms=MS)
    def release(self, number: int, delay_ms: int) -> None:
        job, lease = self.runs[number % len(self.runs)]
        self._same(
            lambda: self.model.release(job.id, lease, delay_ms, self.now),
            lambda: self.queue.release(job, delay_ms=delay_ms),
        )

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 20))
    def heartbeat(self, number: int) -> None:
        job, lease = self.runs[number % len(self.runs)]
        self._same(
            lambda: self.model.heartbeat(job.id, lease, self.now),
            lambda: self.queue.heartbeat(job, lease_ms=LEASE_MS).cancel_requested,
        )

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 30), verb=st.sampled_from(["cancel", "retry", "delete"]))
    def intervene(self, number: int, verb: str) -> None:
        job_id = self.ids[number % len(self.ids)]
        self._same(lambda: getattr(self.model, verb)(job_id), lambda: getattr(self.queue, verb)(job_id))

    @rule(queue=QUEUES, state=st.sampled_from(["waiting", "blocked", "completed", "dlq", "cancelled"]))
    def purge(self, queue: str, state: str) -> None:
        self.model.purge(queue, state)
        self.queue.purge(queue, state=state)

    @rule(queue=QUEUES)
    def pause(self, queue: str) -> None:
        self.model.paused.add(queue)
        self.queue.pause(queue)

    @rule(queue=QUEUES)
    def resume(self, queue: str) -> None:
        self.model.paused.discard(queue)
        self.queue.resume(queue)

    @rule()
    def housekeep(self) -> None:
        self.model.sweep(self.now)
        self.queue.housekeep()

    @rule(ms=st.sampled_from([-1_500, 1, 400, 1_000, 3_000, 31_000, 100_000]))
    def let_time_pass(self, ms: int) -> None:
        self.clock.advance(ms=ms)

    @rule()
    def reopen(self) -> None:
        self.queue.close()
        self.queue = PyQueue(self.path, clock=self.clock, durability="process")

    # --- what must hold after every step ------------------------------------------------------------

    @invariant()
    def nothing_differs_from_the_model(self) -> None:
        if not hasattr(self, "queue"):
            return
        stored = {job.id: job for job in self.queue.list_jobs(limit=1_000).jobs}
        assert {job_id: (job.state.value, job.attempt) for job_id, job in stored.items()} == {
            job_id: (job.state, job.attempt) for job_id, job in self.model.jobs.items()
        }
        assert {each: job.lease for each, job in stored.items() if job.lease} == {
            each: job.lease for each, job in self.model.jobs.items() if job.state == "active"
        }

    @invariant()
    def every_move_was_announced(self) -> None:
        if hasattr(self, "queue"):
            assert self.queue._runtime.announcer.drain(5.0)
            assert self.illegal == []
            assert {job_id: state.value for job_id, state in self.seen.items()} == {
                job_id: job.state for job_id, job in self.model.jobs.items()
            }

    @invariant()
    def counters_are_true(self) -> None:
        if not hasattr(self, "queue"):
            return
        with sqlite3.connect(self.path) as connection:
            real = dict(connection.execute("SELECT queue || state, count(*) FROM pyqueue_job GROUP BY 1").fetchall())
        connection.close()
        counted = {
            f"{info.name}{state.code}": getattr(info.counts, state.value)
            for info in self.queue.queues()
            for state in STATES
        }
        assert {key: number for key, number in counted.items() if number} == real

    # --- how an operation is compared ------------------------------------------------------------------

    def _same(self, on_model: Callable[[], Any], on_queue: Callable[[], Any]) -> None:
        expected_code, expected = None, None
        try:
            expected = on_model()
        except Refused as refused:
            expected_code = refused.code
        actual = self._expect(expected_code, on_queue)
        assert expected is None or actual == expected

    def _expect(self, code: str | None, call: Callable[[], Any]) -> Any:
        if code is None:
            return call()
        with pytest.raises(PyQueueError) as caught:
            call()
        assert caught.value.code == code
        return None


def _run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Law,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_random_operations_do_what_the_model_does() -> None:
    _run(examples=60, steps=40)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_random_operations_do_what_the_model_does() -> None:
    _run(examples=1_500, steps=80)
