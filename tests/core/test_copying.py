"""Moving a queue between a file and PostgreSQL, in both directions, also when it is cut off on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyqueue import PyQueue
from pyqueue.cli.main import main
from pyqueue.core.clock import SystemClock
from pyqueue.core.config import store_of
from pyqueue.core.store import copying
from pyqueue.core.store.store import Store
from tests import servers


@pytest.fixture(params=["to PostgreSQL", "to SQLite"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The storage of the source and that of the target, neither of which exists yet."""
    with servers.new_schema() as url:
        file = str(tmp_path / "jobs.db")
        yield (file, url) if request.param == "to PostgreSQL" else (url, file)


def fill(storage: str) -> list[str]:
    """A queue with a bit of everything; gives the ids of its jobs."""
    with PyQueue(storage) as queue:
        parent = queue.push("q", "parent", {"z": 1.0, "a": "\0"}, tags=["x", "y"], metadata={"m": [1]})
        child = queue.push("q", "child", depends_on=[parent])
        delayed = queue.push("q", "later", delay_ms=3_600_000, unique_key="k")
        many = queue.push_many("other", [{"name": "n", "data": number} for number in range(700)])
        [job] = queue.pull("q")
        queue.progress(job, 50, "half")
        queue.fail(job, "no")
        for job in queue.pull("other", count=100):
            queue.ack(job, {"ok": True})
        return [parent, child, delayed, *many]


def look(storage: str, ids: list[str]) -> list[Any]:
    """Everything that can be seen of the jobs."""
    with PyQueue(storage) as queue:
        jobs = [queue.get_job(job_id) for job_id in ids]
        return [
            [(job.id, job.name, job.state, job.data, job.tags, job.logs, job.parents, job.result) for job in jobs],
            queue.attempts(ids[0]),
            [(info.name, info.counts) for info in queue.queues()],
            [(change.job_id, change.event) for change in queue.events(0).changes],
        ]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["copy", *arguments])


def test_a_copy_has_the_same_jobs_with_the_same_ids_and_works_on(ends: tuple[str, str]) -> None:
    source, target = ends
    ids = fill(source)

    result = run(source, target)

    assert result.exit_code == 0, result.stderr
    assert look(target, ids) == look(source, ids)
    with PyQueue(target) as queue:
        assert queue.push("q", "new") > max(ids)
        for job in queue.pull("other", count=1_000):
            queue.ack(job)
        assert queue.stats("other").completed == 700


def test_a_copy_that_was_cut_off_goes_on_where_it_stopped(
    ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = ends
    ids = fill(source)
    monkeypatch.setattr(copying, "_CHUNK", 50)

    class Cut(Exception):
        pass

    def cut(table: str, rows: int) -> None:
        if rows >= 400:
            raise Cut

    theirs, ours = store(source), store(target)
    with pytest.raises(Cut):
        copying.copy(theirs, ours, cut)
    counts = copying.copy(theirs, ours)
    theirs.close()
    ours.close()

    assert {table: rows for table, rows, _ in counts}["pyqueue_job"] == 703
    assert look(target, ids) == look(source, ids)


def test_a_target_with_jobs_of_its_own_is_refused(ends: tuple[str, str]) -> None:
    source, target = ends
    fill(source)
    with PyQueue(target) as queue:
        queue.push("q", "own")

    result = run(source, target)

    assert result.exit_code == 2
    assert "jobs of its own" in result.stderr


def test_a_source_that_changed_meanwhile_is_not_mixed_into_the_copy(ends: tuple[str, str]) -> None:
    source, target = ends
    fill(source)
    theirs, ours = store(source), store(target)

    def push(table: str, rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copying.copy(theirs, ours, push)
    theirs.close()
    ours.close()
    with PyQueue(source) as queue:
        queue.push("q", "more")

    result = run(source, target)

    assert result.exit_code == 2
    assert "has changed" in result.stderr


def store(storage: str) -> Store:
    return store_of(storage, durability="power", clock=SystemClock(), logs_events=True)
