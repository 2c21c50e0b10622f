"""Random operations on a queue and on the plain model, compared after every step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from peewee import SqliteDatabase

from pyqueue import Job, JobState, PyQueue, PyQueueError
from pyqueue.core.signals import BY_EVENT, JobChange
from pyqueue.core.states import STATES
from pyqueue.core.transitions import TRANSITIONS
from pyqueue.testing import FakeClock
from tests.crash.faults import assert_sound
from tests.properties.model import DAY_MS, Model, ModelJob, Refused
from tests.properties.options import MS, OPTIONS, fitting

# In "g" jobs may have groups: whose turn it is there is checked in `tests/core/test_groups.py`.
QUEUES = st.sampled_from(["a", "b", "g"])
LEASES = st.sampled_from([10, 1_000, 30_000])
STEPS_MS = [-1_500, *[1, 400, 1_000, 3_000, 31_000] * 3, 100_000, 8 * DAY_MS, 31 * DAY_MS]
FAILURES: list[dict[str, Any]] = [{}, {"retry": False}, {"delay_ms": 7}]
ENDS = [None, None, *FAILURES]
PURGED = ["waiting", "delayed", "blocked", "completed", "dlq", "cancelled"]


class Law(RuleBasedStateMachine):
    """A real queue on a real file beside the model."""

    @staticmethod
    @contextmanager
    def storage() -> Iterator[str]:
        """Where a queue is kept, with nothing in it."""
        with tempfile.TemporaryDirectory(prefix="pyqueue-law-") as folder:
            yield os.path.join(folder, "jobs.db")

    def connected(self) -> Any:
        """Another connection to the same storage."""
        return SqliteDatabase(self.path, timeout=5)

    @initialize()
    def open(self) -> None:
        self.place = ExitStack()
        self.path = self.place.enter_context(self.storage())
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
        assert_sound(self.path)
        self.place.close()

    def _observe(self, _sender: object, change: JobChange) -> None:
        """Every announced move must be in the table, and must begin where the last one ended."""
        rule_of_event = TRANSITIONS[change.event]
        before = self.seen.pop(change.job_id, None)
        is_from_there = before in (rule_of_event.sources or {None})
        if not is_from_there or change.state not in (rule_of_event.targets or {None}):
            self.illegal.append((before, change))
        if change.state is not None:
            self.seen[change.job_id] = change.state

    @property
    def now(self) -> int:
        return self.clock.now_us() // 1_000

    # --- rules -----------------------------------------------------------------------------------

    @rule(
        queue=QUEUES,
        options=OPTIONS,
        parents=st.lists(st.integers(0, 5), max_size=2),
        policy=st.sampled_from(["fail", "fail", "cancel", "run", "only"]),
    )
    def push(self, queue: str, options: dict[str, Any], parents: list[int], policy: str) -> None:
        depends_on = sorted({self.ids[-1 - number] for number in parents if number < len(self.ids)})
        waits = {"depends_on": depends_on, "on_parent_failure": policy} if depends_on else {}
        self._push_all(queue, [options | waits])

    @rule(queue=QUEUES, batch=st.lists(OPTIONS, min_size=2, max_size=5))
    def push_many(self, queue: str, batch: list[dict[str, Any]]) -> None:
        self._push_all(queue, batch)

    def _push_all(self, queue: str, batch: list[dict[str, Any]]) -> None:
        batch = [fitting(queue, options) for options in batch]
        jobs = [self._model_job(queue, options) for options in batch]
        expected = self._code_of(lambda: self.model.check_batch(jobs))
        items = [{"name": "work", "data": position, **options} for position, options in enumerate(batch)]
        ids = self._expect(expected, lambda: self.queue.push_many(queue, items))
        for job_id, job in zip(ids or [], jobs, strict=not expected):
            self._add(job_id, job)

    def _add(self, job_id: str, job: ModelJob) -> None:
        assert job_id not in self.ids, "an id was given out twice"
        assert not self.ids or job_id > self.ids[-1], "a newer job has a lower id"
        self.model.add(job_id, job, self.now)
        self.ids.append(job_id)

    @rule(queue=QUEUES, options=OPTIONS, is_kept=st.booleans())
    def push_in_a_transaction(self, queue: str, options: dict[str, Any], is_kept: bool) -> None:
        options = fitting(queue, options)
        job = self._model_job(queue, options)
        code = self._code_of(lambda: self.model.check_batch([job]))
        database = self.connected()
        with database.atomic() as transaction:
            job_id = self._expect(code, lambda: self.queue.on(database).push(queue, "work", None, **options))
            if not is_kept:
                transaction.rollback()
        database.close()
        if job_id is not None and is_kept:
            self._add(job_id, job)

    def _model_job(self, queue: str, options: dict[str, Any]) -> ModelJob:
        self.model.pushed += 1
        known = {name: value for name, value in options.items() if name not in ("ttl_ms", "delay_ms", "depends_on")}
        job = ModelJob(self.model.pushed, queue, parents=tuple(options.get("depends_on", ())), **known)
        job.expires_at = None if "ttl_ms" not in options else self.now + options["ttl_ms"]
        job.run_at = None if "delay_ms" not in options else self.now + options["delay_ms"]
        return job

    @rule(
        queues=st.sampled_from([["a"], ["b"], ["g"], ["a", "b", "g"], ["g", "b", "a"]]),
        count=st.integers(1, 4),
        lease_ms=LEASES,
    )
    def pull(self, queues: list[str], count: int, lease_ms: int) -> None:
        pulled = self.queue.pull(queues, count=count, lease_ms=lease_ms)

        self.model.fall_due(self.now)
        ids = [job.id for job in pulled]
        for queue in queues:
            ready = self.model.ready(queue)
            number = min(len(ready), count)
            taken, ids, count = ids[:number], ids[number:], count - number
            if queue == "g":
                self.model.check_turns(queue, taken)
            else:
                assert taken == ready[:number]
            for job_id in taken:
                self.model.start(job_id, lease_ms, self.now)
        assert ids == [], "more was pulled than there is"
        for job in pulled:
            assert job.lease is not None and (job.id, job.lease) not in self.owners, "two owners of one lease"
            self.owners.add((job.id, job.lease))
            self.runs.append((job, job.lease))

    @rule(queue=QUEUES, count=st.integers(1, 4), ends=st.lists(st.sampled_from(ENDS), min_size=1))
    def work(self, queue: str, count: int, ends: list[dict[str, Any] | None]) -> None:
        self.pull(queues=[queue], count=count, lease_ms=1_000)
        for number, how in enumerate(ends[: len(self.runs)]):
            if how is None:
                self.ack(number=number, names_lease=True)
            else:
                self.fail(number=number, names_lease=True, how=how)

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 20), names_lease=st.booleans())
    def ack(self, number: int, names_lease: bool) -> None:
        job, lease = self.runs[-1 - number % len(self.runs)]
        self._same(
            lambda: self.model.ack(job.id, lease if names_lease else None, self.now),
            lambda: self.queue.ack(job if names_lease else job.id, {"n": number}),
        )

    @precondition(lambda self: self.runs)
    @rule(numbers=st.lists(st.integers(0, 20), min_size=1, max_size=5))
    def ack_many(self, numbers: list[int]) -> None:
        jobs = [self.runs[-1 - number % len(self.runs)][0] for number in numbers]
        plain_first = sorted(range(len(jobs)), key=lambda position: not self._is_plain(jobs[position]))
        expected = [
            self._code_of(lambda job=jobs[position]: self.model.ack(job.id, job.lease, self.now))  # type: ignore[misc]
            for position in plain_first
        ]

        results = self.queue.ack_many(jobs)

        # Which of two acks of one job in one call succeeds is not promised; that exactly one does, is.
        assert sorted(str(result.error.code) if result.error else "" for result in results) == sorted(
            code or "" for code in expected
        )

    def _is_plain(self, job: Job) -> bool:
        return job.id in self.model.jobs and not self.model.jobs[job.id].remove_on_complete

    @precondition(lambda self: self.runs)
    @rule(
        number=st.integers(0, 20),
        names_lease=st.booleans(),
        how=st.sampled_from([{}, {"retry": False}, {"delay_ms": 7}]),
    )
    def fail(self, number: int, names_lease: bool, how: dict[str, Any]) -> None:
        job, lease = self.runs[-1 - number % len(self.runs)]
        self._same(
            lambda: self.model.fail(job.id, lease if names_lease else None, self.now, **how),
            lambda: self.queue.fail(job if names_lease else job.id, "broken", **how).state.value,
        )

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 20), delay_ms=MS)
    def release(self, number: int, delay_ms: int) -> None:
        job, lease = self.runs[-1 - number % len(self.runs)]
        self._same(
            lambda: self.model.release(job.id, lease, delay_ms, self.now),
            lambda: self.queue.release(job, delay_ms=delay_ms),
        )

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 20), lease_ms=LEASES)
    def heartbeat(self, number: int, lease_ms: int) -> None:
        job, lease = self.runs[-1 - number % len(self.runs)]
        self._same(
            lambda: self.model.heartbeat(job.id, lease, lease_ms, self.now),
            lambda: self.queue.heartbeat(job, lease_ms=lease_ms).cancel_requested,
        )

    @precondition(lambda self: self.runs)
    @rule(numbers=st.lists(st.integers(0, 20), min_size=1, max_size=5), lease_ms=LEASES)
    def heartbeat_many(self, numbers: list[int], lease_ms: int) -> None:
        runs = [self.runs[-1 - number % len(self.runs)] for number in numbers]
        expected = [
            self._code_of(lambda job=job, lease=lease: self.model.heartbeat(job.id, lease, lease_ms, self.now))  # type: ignore[misc]
            for job, lease in runs
        ]

        answers = self.queue.heartbeat_many([job for job, _ in runs], lease_ms=lease_ms)

        assert [answer.code if isinstance(answer, PyQueueError) else None for answer in answers] == expected

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 20), percent=st.integers(0, 120))
    def progress(self, number: int, percent: int) -> None:
        job, lease = self.runs[-1 - number % len(self.runs)]
        self._same(
            lambda: self.model.report(job.id, lease, percent),
            lambda: self.queue.progress(job, percent, f"at {percent}"),
        )

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 30), verb=st.sampled_from(["cancel", "retry", "delete"]))
    def intervene(self, number: int, verb: str) -> None:
        job_id = self.ids[-1 - number % len(self.ids)]
        self._same(lambda: getattr(self.model, verb)(job_id, self.now), lambda: getattr(self.queue, verb)(job_id))

    @rule(queue=QUEUES, state=st.sampled_from(["dlq again", "dlq again", "dlq again", *PURGED, None]))
    def retry_dead_or_purge(self, queue: str, state: str | None) -> None:
        if state == "dlq again":
            assert self.queue.retry_dlq(queue) == self.model.retry_dead(queue, self.now)
            return
        for each in PURGED if state is None else [state]:
            self.model.purge(queue, each, self.now)
        self.queue.purge(queue, state=state)

    @rule(queue=QUEUES, what=st.sampled_from(["", "", "", "pushes", "pulls", "pushes and pulls"]))
    def pause_or_resume(self, queue: str, what: str) -> None:
        pushes, pulls = "pushes" in what, "pulls" in what
        if what:
            self.model.paused |= {queue} if pushes else set()
            self.model.held |= {queue} if pulls else set()
            self.queue.pause(queue, pushes=pushes, pulls=pulls)
        else:
            self.model.paused.discard(queue)
            self.model.held.discard(queue)
            self.queue.resume(queue)

    @rule()
    def housekeep(self) -> None:
        self.model.sweep(self.now)
        self.queue.housekeep()

    @rule(ms=st.sampled_from(STEPS_MS))
    def let_time_pass(self, ms: int) -> None:
        self.clock.advance(ms=ms)

    @precondition(lambda self: self.may_reopen())
    @rule()
    def reopen(self) -> None:
        self.queue.close()
        self.queue = PyQueue(self.path, clock=self.clock, durability="process")

    def may_reopen(self) -> bool:
        return True

    # --- what must hold after every step ------------------------------------------------------------

    @invariant()
    def nothing_differs_from_the_model(self) -> None:
        if not hasattr(self, "queue"):
            return
        stored = {job.id: job for job in self.queue.list_jobs(limit=1_000).jobs}
        jobs = self.model.jobs.items()
        assert {each: (job.state.value, job.attempt, job.progress) for each, job in stored.items()} == {
            each: (job.state, job.attempt, job.progress) for each, job in jobs
        }
        assert {each: job.lease for each, job in stored.items() if job.lease} == {
            each: job.lease for each, job in jobs if job.state == "active"
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
    def counters_and_history_are_true(self) -> None:
        if not hasattr(self, "queue"):
            return
        connection = self.connected()
        ask = connection.execute_sql
        real = dict(ask("SELECT queue || state, count(*) FROM pyqueue_job GROUP BY 1").fetchall())
        failures = ask("SELECT count(*) FROM pyqueue_attempt GROUP BY job_id").fetchall()
        messages = ask("SELECT count(*) FROM pyqueue_log GROUP BY job_id").fetchall()
        connection.close()
        jobs = self.model.jobs.values()
        assert sorted(number for (number,) in failures) == sorted(job.failures for job in jobs if job.failures)
        assert sorted(number for (number,) in messages) == sorted(job.messages for job in jobs if job.messages)
        counted = {
            f"{info.name}{state.code}": getattr(info.counts, state.value)
            for info in self.queue.queues()
            for state in STATES
        }
        assert {key: number for key, number in counted.items() if number} == real

    # --- how an operation is compared ------------------------------------------------------------------

    def _same(self, on_model: Callable[[], Any], on_queue: Callable[[], Any]) -> None:
        expected: list[Any] = []
        expected_code = self._code_of(lambda: expected.append(on_model()))
        actual = self._expect(expected_code, on_queue)
        assert expected in ([], [None], [actual])

    def _code_of(self, on_model: Callable[[], Any]) -> str | None:
        try:
            on_model()
        except Refused as refused:
            return refused.code
        return None

    def _expect(self, code: str | None, call: Callable[[], Any]) -> Any:
        if code is None:
            return call()
        with pytest.raises(PyQueueError) as caught:
            call()
        assert caught.value.code == code
        return None
