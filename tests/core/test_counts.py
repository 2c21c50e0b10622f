"""The counts of `stats` and `queues`: made of the event log, and true whoever logs or does not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.core.store import migrations
from pyqueue.core.store.counts import FOLD_EVERY
from tests.crash.faults import assert_sound


def _folded(path: Path) -> tuple[int, int]:
    """Up to which event the counts go, and the last event there is."""
    connection = sqlite3.connect(path)
    [counted_to] = connection.execute("SELECT value FROM pyqueue_meta WHERE key = 'counted_to'").fetchone()
    [last] = connection.execute("SELECT coalesce(max(position), 0) FROM pyqueue_event").fetchone()
    connection.close()
    return counted_to, last


def _unfold_all(path: Path) -> None:
    """Brings the position of the log right before a moment at which events are added to the counts."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE pyqueue_event SET position = position + ?", (FOLD_EVERY - 2 - _folded(path)[1],))
    connection.close()


@pytest.mark.sqlite("looks into the file")
def test_events_are_added_up_every_few_hundred(path: Path) -> None:
    with PyQueue(path) as queue:
        for number in range(FOLD_EVERY + 10):
            queue.push(f"q{number % 3}", "n")
            counted_to, last = _folded(path)
            assert last - counted_to <= FOLD_EVERY
        assert _folded(path) == (FOLD_EVERY, FOLD_EVERY + 10)
        assert [info.counts.waiting for info in queue.queues()] == [170, 170, 170]
    assert_sound(path)


@pytest.mark.sqlite("looks into the file")
def test_a_batch_of_changes_may_step_over_the_moment_of_adding_up(path: Path) -> None:
    with PyQueue(path) as queue:
        names = [f"q{number}" for number in range(20)]
        for name in names:
            queue.push(name, "n")
        taken = queue.pull(names, count=20)
        _unfold_all(path)
        queue.ack_many(taken)  # A change for each queue.

        counted_to, last = _folded(path)

        assert counted_to == last == FOLD_EVERY - 2 + 20
        assert [info.counts.completed for info in queue.queues()] == [1] * 20
    assert_sound(path)


@pytest.mark.sqlite("looks into the file")
@pytest.mark.parametrize("first_logs", [True, False])
def test_handles_that_log_and_that_do_not_count_the_same_jobs(path: Path, first_logs: bool) -> None:
    with PyQueue(path, logs_events=first_logs) as one, PyQueue(path, logs_events=not first_logs) as other:
        one.push_many("q", [{"name": "n"}] * 5)
        taken = other.pull("q", count=3)
        one.ack(taken[0])
        other.fail(taken[1], "broken", retry=False)
        one.delete(taken[0].id)

        for queue in (one, other):
            counts = queue.stats("q")
            assert (counts.waiting, counts.active, counts.completed, counts.dlq) == (2, 1, 0, 1)
    assert_sound(path)


@pytest.mark.sqlite("looks into the file")
def test_forgetting_events_loses_no_count(path: Path) -> None:
    with PyQueue(path) as queue:
        for _ in range(5):
            queue.push("q", "n")
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("UPDATE pyqueue_event SET happened_at = 0")
        connection.close()

        queue._housekeeper._forget_events()

        assert _folded(path) == (5, 5)
        assert queue.stats("q").waiting == 5
    assert_sound(path)


@pytest.mark.sqlite("files of earlier schemas")
def test_a_file_of_the_schema_before_keeps_its_counts(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:  # As it was when every transaction kept the counts.
        for step in migrations.STEPS[:2]:
            for statement in step.statements:
                connection.execute(statement)
        meta = {"schema_version": 2, "salt": 1, "last_deleted": 0}
        connection.executemany("INSERT INTO pyqueue_meta VALUES (?, ?)", meta.items())
        connection.executemany(
            "INSERT INTO pyqueue_job (id, queue, name, data) VALUES (?, 'q', 'n', '{}')", [(1,), (2,), (3,)]
        )
        connection.execute("INSERT INTO pyqueue_count VALUES ('q', 0, 3)")
    connection.close()

    with PyQueue(path) as queue:
        queue.push("q", "n")

        assert queue.stats("q").waiting == 4
    assert_sound(path)
