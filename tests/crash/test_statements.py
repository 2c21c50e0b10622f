"""Statement n fails, or is the last before kill -9, for every n of each operation: all or nothing, every time."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import StorageError
from pyqueue.core.signals import BY_EVENT, JobChange
from pyqueue.core.store import connection as store_connection
from pyqueue.testing import FakeClock
from tests.crash.faults import (
    Dump,
    Fault,
    FaultyConnection,
    armed,
    assert_sound,
    disk_error,
    disk_full,
    dump,
    faulty_connect,
    interrupt,
    kill,
)
from tests.crash.nursery import PROCESSES
from tests.crash.scenarios import READS_LAST, SCENARIOS, Prepared, be_killed, open_later, prepare


@dataclass
class Course:
    """How a scenario goes when nothing fails: the tables before and after each commit, and what is announced."""

    name: str
    folder: Path
    prepared: Prepared
    states: list[Dump]
    announced: list[tuple[str, str]]

    def copy(self, name: str) -> Path:
        return Path(shutil.copy(self.folder / "0.db", self.folder / f"{name}.db"))

    def open(self, path: Path) -> PyQueue:
        return open_later(self.name, path)

    def call(self, queue: PyQueue) -> object:
        return SCENARIOS[self.name](queue, self.prepared)


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_connection, "connect", faulty_connect)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Prepared]:
    path, clock = tmp_path_factory.mktemp("original") / "jobs.db", FakeClock()
    with PyQueue(path, clock=clock) as queue:
        return path, prepare(queue, clock)


@pytest.fixture(params=SCENARIOS)
def course(
    request: pytest.FixtureRequest, original: tuple[Path, Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Course:
    path, prepared = original
    course = Course(request.param, Path(shutil.copy(path, tmp_path / "0.db")).parent, prepared, [dump(path)], [])
    path = course.copy("undisturbed")
    with course.open(path) as queue, _listening() as heard:
        queue.stats("q")
        monkeypatch.setattr(FaultyConnection, "committed", lambda: course.states.append(dump(path)))
        course.call(queue)
        monkeypatch.setattr(FaultyConnection, "committed", None)
        course.announced = heard(queue)
    assert_sound(path)
    assert course.states[-1] != course.states[0]
    return course


@pytest.mark.parametrize(("strike", "is_after"), [(disk_error, False), (disk_error, True), (disk_full, False)])
def test_a_statement_that_fails_undoes_its_operation_and_the_next_try_succeeds(
    course: Course, strike: Callable[[sqlite3.Connection], Any], is_after: bool
) -> None:
    for number in count(1):
        path = course.copy(f"{number}")
        with course.open(path) as queue, _listening() as heard:
            queue.stats("q")
            with armed(Fault(strike, number, is_after)) as fault:
                error = _error_of(lambda queue=queue: course.call(queue))  # type: ignore[misc]

            found = dump(path)
            assert found in (course.states if course.name in READS_LAST else course.states[:-1]) or not error
            assert isinstance(error, StorageError) == fault.has_struck, error
            assert found != course.states[0] or heard(queue) == []
            if error:
                course.call(queue)
            assert heard(queue) == course.announced
        assert dump(path) == course.states[-1], f"statement {number}"
        if not fault.has_struck:
            break
    assert number > 3, "nothing was ever made to fail"


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_an_interrupted_call_leaves_no_lock_and_a_handle_that_works(course: Course, is_after: bool) -> None:
    for number in count(1):
        path = course.copy(f"{number}")
        with course.open(path) as queue:
            queue.stats("q")
            with armed(Fault(interrupt, number, is_after)) as fault:
                error = _error_of(lambda queue=queue: course.call(queue))  # type: ignore[misc]

            assert dump(path) in course.states
            if not fault.has_struck:
                break
            assert isinstance(error, KeyboardInterrupt)
            other = sqlite3.connect(path, timeout=0)
            other.execute("BEGIN IMMEDIATE")
            other.close()
            assert queue.push("another", "job")
        assert_sound(path)
    assert number > 3, "nothing was ever interrupted"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_kill_9_after_any_statement_leaves_whole_transactions(course: Course) -> None:
    with course.open(course.copy("counted")) as queue:
        queue.stats("q")
        with armed(Fault(kill, 10_000)) as fault:
            course.call(queue)
    paths = [course.copy(f"{number}") for number in range(1, fault.seen + 1)]
    processes = [
        PROCESSES.Process(target=be_killed, args=(course.name, path, course.prepared, number))
        for number, path in enumerate(paths, start=1)
    ]

    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [-signal.SIGKILL] * fault.seen
    found = [dump(path) for path in paths]
    assert found[0] == course.states[0]
    assert [course.states.index(each) for each in found] == sorted(course.states.index(each) for each in found)
    assert found[-1] == course.states[-1]
    for path in paths:
        assert_sound(path)


class _listening:  # noqa: N801  # reads as what it does: with _listening() as heard
    """Gives a function that says what was announced since the block began."""

    def __enter__(self) -> Callable[[PyQueue], list[tuple[str, str]]]:
        self._changes: list[tuple[str, str]] = []
        for heard in set(BY_EVENT.values()):
            heard.connect(self._note)
        return self._heard

    def __exit__(self, *_: object) -> None:
        for heard in set(BY_EVENT.values()):
            heard.disconnect(self._note)

    def _note(self, _sender: object, change: JobChange) -> None:
        self._changes.append((change.event, change.job_id))

    def _heard(self, queue: PyQueue) -> list[tuple[str, str]]:
        assert queue._runtime.announcer.drain(10.0)
        return list(self._changes)


def _error_of(call: Callable[[], object]) -> BaseException | None:
    try:
        call()
    except (StorageError, KeyboardInterrupt) as error:
        return error
    return None
