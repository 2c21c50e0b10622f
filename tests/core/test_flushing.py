"""What a call has returned from is on disk: the log was flushed behind its commit, or the caller was told otherwise."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import StorageError
from pyqueue.core.store import flush
from tests.waiting import eventually

pytestmark = pytest.mark.sqlite("the write-ahead log of a file")


class Disk:
    """What a power failure would leave: the file and its log as they were when the last finished flush began."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.image = path, folder / "image.db"
        self.flushes = 0
        self.broken = False
        self.held: threading.Event | None = None
        self._really_flush = flush._flush_file

    def flush(self, file: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.held is not None:
            self.held.wait(30)
        self._really_flush(file)
        for ending in ("", "-wal"):
            shutil.copyfile(f"{self.path}{ending}", f"{self.image}{ending}")
        self.flushes += 1

    def jobs(self) -> set[str]:
        """The names of the jobs that it would have after a start."""
        copy = self.image.with_name("copy.db")
        for ending in ("", "-wal"):
            shutil.copyfile(f"{self.image}{ending}", f"{copy}{ending}")
        copy.with_name("copy.db-shm").unlink(missing_ok=True)
        connection = sqlite3.connect(copy)
        try:
            return {name for (name,) in connection.execute("SELECT name FROM pyqueue_job")}
        finally:
            connection.close()


@pytest.fixture
def disk(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(path, tmp_path)
    monkeypatch.setattr(flush, "_flush_file", disk.flush)
    return disk


def test_what_a_push_has_returned_survives_a_power_failure(path: Path, disk: Disk) -> None:
    with PyQueue(path) as queue:
        for number in range(20):
            queue.push("q", f"job-{number}")
            assert f"job-{number}" in disk.jobs()


def test_what_pushes_of_an_event_loop_have_returned_survives_a_power_failure(path: Path, disk: Disk) -> None:
    async def push(queue: PyQueue, name: str) -> None:
        await queue.apush("q", name)
        assert name in disk.jobs()

    async def push_together(queue: PyQueue) -> None:
        await asyncio.gather(*[push(queue, f"job-{number}") for number in range(20)])

    with PyQueue(path) as queue:
        asyncio.run(push_together(queue))
        assert disk.flushes == 1


def test_a_pull_and_another_durability_flush_nothing(path: Path, disk: Disk) -> None:
    with PyQueue(path) as queue, PyQueue(path, durability="process") as careless:
        queue.push("q", "kept")
        before = disk.flushes
        [job] = queue.pull("q")
        careless.push("q", "not-yet")
        assert disk.flushes == before

        queue.ack(job)

        assert disk.flushes == before + 1 and disk.jobs() == {"kept", "not-yet"}


def test_others_write_while_one_waits_for_the_disk(path: Path, disk: Disk) -> None:
    with PyQueue(path) as queue, PyQueue(path, durability="process") as other:
        queue.push("q", "first")
        disk.held = threading.Event()
        waiting = threading.Thread(target=queue.push, args=("q", "held"))
        waiting.start()
        try:
            eventually(lambda: other.stats("q").waiting == 2, what="the commit, which the flush follows")
            other.push("q", "beside")

            assert waiting.is_alive() and "held" not in disk.jobs()
        finally:
            disk.held.set()
            waiting.join(30)

        assert {"held", "beside"} <= disk.jobs()


def test_a_claim_in_the_same_process_does_not_wait_for_the_flush_of_a_push(path: Path, disk: Disk) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "first")
        disk.held = threading.Event()
        waiting = threading.Thread(target=queue.push, args=("q", "held"))
        waiting.start()
        try:
            eventually(lambda: queue.stats("q").waiting == 2, what="the commit, which the flush follows")
            jobs = queue.pull("q", count=2)

            assert waiting.is_alive() and [job.name for job in jobs] == ["first", "held"]
        finally:
            disk.held.set()
            waiting.join(30)


def test_those_who_come_while_one_waits_for_the_disk_are_one_group_with_one_flush(path: Path, disk: Disk) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "first")
        before, disk.held = disk.flushes, threading.Event()
        waiting = [threading.Thread(target=queue.push, args=("q", f"job-{number}")) for number in range(9)]
        try:
            waiting[0].start()
            eventually(lambda: queue.stats("q").waiting == 2, what="the commit, which the flush follows")
            for thread in waiting[1:]:
                thread.start()
            eventually(lambda: len(queue._runtime._committer._pending) == 8, what="the others")
        finally:
            disk.held.set()
            for thread in waiting:
                thread.join(30)

        assert disk.flushes == before + 2 and len(disk.jobs()) == 10


def test_a_lone_waiting_worker_is_woken_before_the_flush(path: Path, disk: Disk) -> None:
    started = threading.Event()

    def work() -> None:
        if worker.pull("q", wait_ms=20_000):
            started.set()

    with PyQueue(path) as queue, PyQueue(path) as worker:
        queue.push("q", "n")
        queue.pull("q")
        waiting = threading.Thread(target=work)
        waiting.start()
        disk.held = threading.Event()
        pushing = threading.Thread(target=queue.push, args=("q", "held"))
        pushing.start()
        try:
            assert started.wait(10) and pushing.is_alive()
        finally:
            disk.held.set()
            pushing.join(30)
            waiting.join(30)


def test_the_log_of_a_file_behind_a_link_is_flushed(path: Path, disk: Disk) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)

    with PyQueue(link) as queue:
        queue.push("q", "kept")

        assert disk.jobs() == {"kept"}


def test_a_disk_that_fails_is_reported_until_all_of_the_log_is_in_the_file(path: Path, disk: Disk) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "kept")
        disk.broken = True
        with pytest.raises(StorageError, match=r"could not be flushed.*kept or not\. Look for the job"):
            queue.push("q", "doubtful")

        # The flush of the next might go well although the log has a gap before it: only a checkpoint counts.
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM pyqueue_job").fetchone()
        with pytest.raises(StorageError, match="could not be flushed"):
            queue.push("q", "still-doubtful")
        reader.close()
        queue.push("q", "after")

        assert os.path.getsize(f"{path}-wal") == 0
        file = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
        assert "after" in {name for (name,) in file.execute("SELECT name FROM pyqueue_job")}
        file.close()
        disk.broken = False
        queue.push("q", "well")
        assert "well" in disk.jobs()
