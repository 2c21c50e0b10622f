"""Operations that share a transaction: each gets its own outcome, whatever happens to its neighbours."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import shutil
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import PyQueueError, StorageError
from pyqueue.core.store import connection as store_connection
from pyqueue.core.store.transaction import Transaction
from pyqueue.testing import FakeClock
from tests.crash.faults import Dump, Fault, armed, assert_sound, disk_error, disk_full, dump, faulty_connect, interrupt
from tests.crash.scenarios import Prepared, prepare
from tests.waiting import eventually
from tests.writers import all_writers_taken


class WritesAndFails:
    """An operation with a bug: it fails after it has written."""

    durable = True

    def run(self, tx: Transaction) -> None:
        tx.execute("DELETE FROM pyqueue_job")
        raise ZeroDivisionError("a bug")


class BreaksARule:
    """An operation that the schema refuses."""

    durable = True

    def run(self, tx: Transaction) -> None:
        tx.execute("UPDATE pyqueue_job SET state = 99")


CALLS: dict[str, Callable[[PyQueue, Prepared], Awaitable[object]]] = {
    "push": lambda queue, _: queue.apush("q", "new"),
    "push to another": lambda queue, _: queue.apush("other", "new", priority=2),
    "push to a paused one": lambda queue, _: queue.apush("held", "new"),
    "push in a group": lambda queue, _: queue.apush("q", "new", group_id="g"),
    "push of a key": lambda queue, _: queue.apush("q", "new", unique_key="k"),
    "push of a child": lambda queue, it: queue.apush("q", "new", depends_on=[it.plain.id, it.waiting]),
    "pull": lambda queue, _: queue.apull("q", count=2),
    "ack": lambda queue, it: queue.aack(it.plain, 1),
    "ack of a parent": lambda queue, it: queue.aack(it.parent),
    "ack of many": lambda queue, it: queue.aack_many([it.removed, it.waiting, it.plain]),
    "fail": lambda queue, it: queue.afail(it.last_try, "broken"),
    "heartbeat": lambda queue, it: queue.aheartbeat(it.plain),
    "cancel": lambda queue, it: queue.acancel(it.waiting),
    "delete": lambda queue, it: queue.adelete(it.dead),
    "retry": lambda queue, it: queue.aretry(it.dead),
    "pause": lambda queue, _: queue.apause("q"),
    "bug": lambda queue, _: queue._runtime.awrite(WritesAndFails()),
    "broken rule": lambda queue, _: queue._runtime.awrite(BreaksARule()),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Prepared]:
    path, clock = tmp_path_factory.mktemp("original") / "jobs.db", FakeClock()
    with PyQueue(path, clock=clock) as queue:
        return path, prepare(queue, clock)


@pytest.fixture(autouse=True, scope="module")
def faulty() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_connection, "connect", faulty_connect)
        yield


@given(names=st.lists(st.sampled_from(sorted(CALLS)), min_size=2, max_size=8))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_group_does_what_its_operations_do_one_after_another(
    names: list[str], original: tuple[Path, Prepared]
) -> None:
    path, prepared = original
    single, together = (Path(shutil.copy(path, path.with_name(f"{name}.db"))) for name in ("single", "together"))
    with _open(single) as queue:
        expected = [_gather(queue, prepared, [name])[0] for name in names]

    with _open(together) as queue:
        outcomes = _gather(queue, prepared, names)

    assert list(map(_shown, outcomes)) == list(map(_shown, expected))
    assert _comparable(dump(together)) == _comparable(dump(single))
    assert_sound(together)


@pytest.mark.parametrize("strike", [disk_error, disk_full])
@pytest.mark.parametrize("has_bug", [False, True], ids=["all well", "one with a bug"])
def test_a_disk_error_in_a_group_undoes_exactly_what_was_not_acknowledged(
    original: tuple[Path, Prepared], strike: Any, has_bug: bool
) -> None:
    names = ["push", "ack", "push to another", "cancel", *(["bug"] if has_bug else []), "fail", "push of a key"]
    path, prepared = original
    for number in count(1):
        copy = Path(shutil.copy(path, path.with_name(f"{strike.__name__}{has_bug}{number}.db")))
        with _open(copy) as queue:
            before = queue.queues()
            with armed(Fault(strike, number)) as fault:
                outcomes = dict(zip(names, _gather(queue, prepared, names), strict=True))
            is_done = {name: not isinstance(outcome, Exception) for name, outcome in outcomes.items()}
            acked, cancelled = (queue.get_job(job).state for job in (prepared.plain, prepared.waiting))
            assert (acked is JobState.COMPLETED, cancelled is JobState.CANCELLED) == (is_done["ack"], is_done["cancel"])
            assert is_done["fail"] == (prepared.last_try.id not in {job.id for job in queue.list_jobs().jobs})
            for name in ("push", "push to another", "push of a key"):
                outcome = outcomes[name]
                assert queue.get_job(outcome) if isinstance(outcome, str) else isinstance(outcome, StorageError)
            assert any(is_done.values()) or queue.queues() == before
            assert_sound(copy)

            refused = [name for name in names if name != "bug" and not is_done[name]]
            assert not any(isinstance(outcome, Exception) for outcome in _gather(queue, prepared, refused))
        if not fault.has_struck:
            break
    assert number > 10, "nothing was ever made to fail"


@pytest.mark.sqlite("faults of its statements")
def test_threads_that_share_a_failed_group_are_all_told(path: Path) -> None:
    for number in count(1):
        with _open(path) as queue:
            before = queue.stats("q").total
            fault = Fault(disk_error, number)
            outcomes = _push_from_threads(queue, ["a", "b", "c"], fault)

            acknowledged = [outcome for outcome in outcomes if isinstance(outcome, str)]
            assert len(outcomes) == 3
            assert len(acknowledged) in ((0, 3) if fault.has_struck else (3,))
            assert queue.stats("q").total == before + len(acknowledged)
        if not fault.has_struck:
            break
    assert number > 3, "nothing was ever made to fail"


@pytest.mark.sqlite("faults of its statements")
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_thread_that_is_told_to_end_while_it_writes_for_others_harms_none_of_them(path: Path, is_after: bool) -> None:
    for number in count(1):
        with _open(path) as queue:
            before = queue.stats("q").total
            fault = Fault(interrupt, number, is_after)
            outcomes = _push_from_threads(queue, ["a", "b", "c", "d"], fault)

            interrupted = [outcome for outcome in outcomes if isinstance(outcome, KeyboardInterrupt)]
            acknowledged = [outcome for outcome in outcomes if isinstance(outcome, str)]
            assert len(interrupted) == fault.has_struck and len(acknowledged) == 4 - len(interrupted)
            assert all(map(queue.get_job, acknowledged))
            assert queue.stats("q").total - before in (len(acknowledged), 4)  # His own may have been kept.
        if not fault.has_struck:
            break
    assert number > 3, "nothing was ever interrupted"


def test_threads_behind_one_that_ends_before_his_turn_are_served(path: Path) -> None:
    """An exception sent into a thread strikes when its wait for the lock is over."""
    with _open(path) as queue:
        committer = queue._runtime._committer
        outcomes: list[Any] = []
        threads = [threading.Thread(target=_push_into, args=(queue, name, outcomes)) for name in "abc"]
        with all_writers_taken(queue):
            for place, thread in enumerate(threads, start=1):
                thread.start()
                eventually(lambda place=place: len(committer._pending) == place)  # type: ignore[misc]
            for thread in threads[:2]:  # The one who leads, and one who waits for it.
                _send(KeyboardInterrupt, thread)
        for thread in threads:
            thread.join()

        assert [type(outcome) for outcome in outcomes].count(KeyboardInterrupt) == 2
        assert queue.push("q", "after") and queue.stats("q").waiting >= 2


def _send(error: type[BaseException], thread: threading.Thread) -> None:
    assert thread.ident is not None
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error)) == 1


def test_when_no_thread_can_be_started_the_callers_are_told_and_the_next_ones_served(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with _open(path) as queue:
        queue.push("q", "first")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            outcomes = _gather_calls([queue.apush("q", "second"), queue.apush("q", "third")])

        assert [str(outcome) for outcome in outcomes] == ["can't start new thread"] * 2
        assert _gather_calls([queue.apush("q", "fourth")]) == [queue.list_jobs().jobs[0].id]
        assert queue.stats("q").waiting == 2


def test_trouble_after_the_commit_does_not_make_it_a_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: object) -> None:
        raise RuntimeError("the loop of a waiter is gone")

    with _open(path) as queue:
        queue.stats("q")
        monkeypatch.setattr(queue._runtime._committer._execution, "_after_commit", break_down)

        ids = [queue.push("q", "alone"), *_gather_calls([queue.apush("q", "one"), queue.apush("q", "two")])]

        assert {job.id for job in queue.list_jobs().jobs} == set(ids)


@pytest.mark.sqlite("faults of its statements")
def test_a_broken_rule_is_named_to_the_one_who_broke_it(path: Path) -> None:
    with _open(path) as queue:
        queue.push("q", "first")

        one, error, two = _gather_calls(
            [queue.apush("q", "one"), queue._runtime.awrite(BreaksARule()), queue.apush("q", "two")]
        )

        assert isinstance(error, StorageError) and "CHECK constraint" in str(error)
        assert {queue.get_job(one).name, queue.get_job(two).name} == {"one", "two"}


def _open(path: Path) -> PyQueue:
    clock = FakeClock()
    clock.advance(ms=2)
    return PyQueue(path, clock=clock, durability="process")


def _gather(queue: PyQueue, prepared: Prepared, names: Sequence[str]) -> list[Any]:
    """The calls in one tick of an event loop, so that they are one group."""
    return _gather_calls([CALLS[name](queue, prepared) for name in names])


def _gather_calls(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    async def gather() -> list[Any]:
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(gather())


def _shown(outcome: object) -> str:
    if isinstance(outcome, PyQueueError):
        return f"{type(outcome).__name__}: {outcome.code}"
    return repr(outcome) if not isinstance(outcome, str) else "an id"


def test_a_lone_caller_after_a_crowd_commits_on_his_own_thread_again(tmp_path: Path) -> None:
    with _open(tmp_path / "jobs.db") as queue:
        committer = queue._runtime._committer
        threads = [threading.Thread(target=queue.push, args=("q", "n")) for _ in range(3)]
        queue.stats("q")
        with all_writers_taken(queue):
            for thread in threads:
                thread.start()
            eventually(lambda: len(committer._pending) == 3)
        for thread in threads:
            thread.join()

        for _ in range(200):  # Without a pause, so that no lingering can end by itself.
            queue.push("q", "n")

        assert not committer._is_led
        assert queue.stats("q").waiting == 203


def _comparable(tables: Dump) -> Dump:
    """Without what may differ: gaps between keys, counters at zero, and how events share rows and stand in order."""
    tables["pyqueue_count"] = [row for row in tables["pyqueue_count"] if row[-1]]
    tables["pyqueue_event"] = sorted((row for each in tables["pyqueue_event"] for row in _each_job(each)), key=repr)
    known = sorted(row[0] for row in tables["pyqueue_job"])
    numbers = {key: number for number, key in enumerate(known)}
    return {
        table: [tuple(numbers.get(value, value) if isinstance(value, int) else value for value in row) for row in rows]
        for table, rows in tables.items()
    }


@pytest.mark.sqlite("PostgreSQL has no lock that writers wait for")
@pytest.mark.parametrize("first_is_durable", [True, False])
def test_who_comes_while_a_group_waits_for_another_process_joins_it(path: Path, first_is_durable: bool) -> None:
    async def scenario(queue: PyQueue, other: sqlite3.Connection) -> set[int | None]:
        job_id = await queue.apush("q", "pulled")
        begun = (await queue.aevents()).position
        committer = queue._runtime._committer
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(queue.apush("q", "first") if first_is_durable else queue.apull("q"))
        while not (committer._is_led and not committer._pending):  # Taken into a group, which waits for `other`.
            await asyncio.sleep(0)
        rest = [asyncio.create_task(queue.apush("q", "late")) for _ in range(3)]
        while len(committer._pending) < 3:
            await asyncio.sleep(0)

        other.execute("COMMIT")
        await asyncio.gather(first, *rest)

        assert (await queue.aget_job(job_id)).name == "pulled"
        return {change.at_us for change in (await queue.aevents(begun)).changes}

    with PyQueue(path) as queue, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        moments = asyncio.run(scenario(queue, other))

    # A claim may be lost in a power failure, a push not: it does not join what is not synced.
    assert len(moments) == (1 if first_is_durable else 2)


def _each_job(event: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """A row of the event log as one row for each job: merged pushes share a row."""
    _, at, verb, queue, state, first, jobs, others, worker_id, error, source = event
    distances = [1] * (jobs - 1) if others is None else list(map(int, others.split()))
    return [(at, verb, queue, source, state, key, worker_id, error) for key in accumulate(distances, initial=first)]


def _push_from_threads(queue: PyQueue, names: Sequence[str], fault: Fault) -> list[Any]:
    """Pushes from as many threads while the writer is busy, so that they share a group."""
    outcomes: list[Any] = []
    threads = [threading.Thread(target=_push_into, args=(queue, name, outcomes)) for name in names]
    with ExitStack() as stack:
        with all_writers_taken(queue):
            for thread in threads:
                thread.start()
            eventually(lambda: len(queue._runtime._committer._pending) == len(names))
            stack.enter_context(armed(fault))
        for thread in threads:
            thread.join()
    return outcomes


def _push_into(queue: PyQueue, name: str, outcomes: list[Any]) -> None:
    try:
        outcomes.append(queue.push("q", name, {}, priority=1))
    except (StorageError, KeyboardInterrupt) as error:
        outcomes.append(error)
