"""More ways for a storage to fail: each ends in an error that says what to do, and in a handle that works again."""

from __future__ import annotations

import os
import sqlite3
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import StorageCorrupt, StorageError
from tests.core.test_faults import run_program

pytestmark = pytest.mark.sqlite("files, folders and disks")

# Permissions do not stop root, so as root the programs below go on as somebody else.
AS_ANOTHER_USER = """
    import asyncio, os, resource, signal, sys
    import pyqueue.core.store.sqlite  # Now: that somebody else may not read Python's own folder.
    from pyqueue import PyQueue
    from pyqueue.core.errors import StorageError, StorageFull, StorageReadOnly
    path, folder = sys.argv[1], os.path.dirname(sys.argv[1])
    is_root = os.getuid() == 0
    def become(user):
        if is_root:
            os.seteuid(user)
"""


def run_as_another_user(program: str, path: Path) -> list[str]:
    """The lines that the program printed."""
    for folder in path.parents:
        if folder.stat().st_uid == os.getuid() and folder.name.startswith(("pytest", "popen-", "test_")):
            folder.chmod(0o755)
    return run_program(textwrap.dedent(AS_ANOTHER_USER) + textwrap.dedent(program), path).splitlines()


def test_a_folder_in_which_nothing_may_be_created(path: Path) -> None:
    lines = run_as_another_user(
        """
        queue = PyQueue(path)
        os.chmod(folder, 0o555)
        become(65534)
        try:
            queue.push("q", "n")
        except StorageError as error:
            print(type(error).__name__, error)
        become(0)
        os.chmod(folder, 0o777)
        become(65534)
        print(len(queue.push("q", "n")), len(queue.pull("q", count=9)))
        """,
        path,
    )

    assert "in a folder where it may create files" in lines[0]
    assert lines[1] == "36 1"


def test_a_file_that_may_not_even_be_read(path: Path) -> None:
    with PyQueue(path) as queue:
        job_id = queue.push("q", "n")
    lines = run_as_another_user(
        """
        queue = PyQueue(path)
        os.chmod(path, 0o000)
        os.chmod(folder, 0o777)
        become(65534)
        for call in (queue.queues, lambda: queue.push("q", "n")):
            try:
                call()
            except StorageError as error:
                print(error)
        become(0)
        os.chmod(path, 0o666)
        become(65534)
        print(queue.pull("q")[0].id)
        """,
        path,
    )

    assert all("expected a file that this user may read and write" in line for line in lines[:2])
    assert lines[2:] == [job_id]


def test_a_file_that_may_only_be_read_can_still_be_looked_at_by_an_open_handle(path: Path) -> None:
    lines = run_as_another_user(
        """
        os.chmod(folder, 0o777)
        become(65534)
        queue = PyQueue(path)
        queue.push("q", "n")
        become(0)
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o444)
        become(65534)
        print(queue.stats("q").waiting)
        """,
        path,
    )

    assert lines == ["1"]


def test_every_caller_of_a_group_is_told_that_the_disk_is_full_and_nothing_is_half_stored(path: Path) -> None:
    lines = run_as_another_user(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        queue = PyQueue(path)
        kept = [queue.push("q", "n")]
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
        async def push_many():
            pushes = [queue.apush_many("q", [{"name": "n", "data": "x" * 2_000}] * 3) for _ in range(100)]
            return await asyncio.gather(*pushes, return_exceptions=True)
        outcomes = asyncio.run(push_many())
        print(sum(isinstance(each, StorageError) for each in outcomes) > 0)
        print(all(isinstance(each, (list, StorageError)) for each in outcomes))
        for each in outcomes:
            kept += each if isinstance(each, list) else []
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print({job.id for job in queue.pull("q", count=1_000)} == set(kept))
        print(queue.stats("q").active == len(kept))
        """,
        path,
    )

    assert lines == ["True"] * 4


def test_an_ack_that_finds_the_disk_full_can_be_given_again(path: Path) -> None:
    lines = run_as_another_user(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        queue = PyQueue(path)
        queue.push("q", "n")
        [job] = queue.pull("q")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            queue.ack(job, "x" * 500_000)
        except StorageError:
            print(queue.get_job(job).state)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        queue.ack(job, "done")
        print(queue.get_job(job).result)
        """,
        path,
    )

    assert lines == ["active", "done"]


def test_a_truncated_file_is_damaged_and_works_again_when_restored(path: Path) -> None:
    with PyQueue(path) as queue:
        ids = queue.push_many("q", [{"name": "n", "data": "x" * 500}] * 50)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with PyQueue(path) as queue:
        for call in (lambda: queue.pull("q", count=50), lambda: queue.push("q", "n"), lambda: queue.list_jobs()):
            with pytest.raises(StorageCorrupt, match=r"Restore a backup|\.recover"):
                call()
        path.write_bytes(whole)

        assert [job.id for job in queue.pull("q", count=99)] == ids


def test_a_file_of_no_bytes_is_a_new_database(path: Path) -> None:
    path.touch()

    with PyQueue(path) as queue:
        assert queue.get_job(queue.push("q", "n")).state is JobState.WAITING


@pytest.mark.parametrize("table", ["pyqueue_job", "pyqueue_meta"])
def test_a_table_of_somebody_elses_with_our_name_is_left_alone(path: Path, table: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE {table} (mine TEXT)")
    connection.execute(f"INSERT INTO {table} VALUES ('kept')")
    connection.commit()
    with PyQueue(path) as queue, pytest.raises(StorageError, match=r"table pyqueue_job already exists|no such column"):
        queue.push("q", "n")

    assert connection.execute(f"SELECT mine FROM {table}").fetchall() == [("kept",)]
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    assert tables == (1,), "the schema is made whole or not at all"
    connection.close()


def test_tables_of_the_application_beside_ours_are_no_trouble(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE orders (item TEXT)")
    connection.commit()
    connection.close()

    with PyQueue(path) as queue:
        assert queue.get_job(queue.push("q", "n")).state is JobState.WAITING


def test_a_link_to_the_file_is_the_same_queue(path: Path) -> None:
    real = path.with_name("real.db")
    with PyQueue(real) as queue:
        job_id = queue.push("q", "n")
    path.symlink_to(real)

    with PyQueue(path) as queue, PyQueue(real) as same:
        [job] = queue.pull("q")
        same.ack(job)

    assert job.id == job_id


def test_a_failing_first_use_does_not_spoil_the_handle_for_event_loops(path: Path) -> None:
    program = """
        async def push_twice():
            queue = PyQueue(path + "/missing/jobs.db")
            for _ in range(2):
                try:
                    await queue.apush("q", "n")
                except StorageError as error:
                    print("does not exist" in str(error))
            os.makedirs(path + "/missing")
            print(len(await queue.apush("q", "n")))
            await queue.aclose()
        asyncio.run(push_twice())
    """

    assert run_as_another_user(program, path) == ["True", "True", "36"]


def test_a_read_waits_while_the_process_closes_another_connection(path: Path) -> None:
    """Closing one asks for the file alone, and for that moment SQLite turns away connections that are just opened."""
    is_over = threading.Event()

    def open_and_close() -> None:
        while not is_over.is_set():
            connection = sqlite3.connect(path)
            connection.execute("SELECT count(*) FROM pyqueue_job").fetchone()
            connection.close()

    with PyQueue(path) as queue, ThreadPoolExecutor(5) as readers:
        queue.push("q", "n")
        closing = threading.Thread(target=open_and_close)
        closing.start()
        try:
            for _ in range(60):  # More readers at a time than connections are kept.
                assert [counts.waiting for counts in readers.map(queue.stats, ["q"] * 20)] == [1] * 20
        finally:
            is_over.set()
            closing.join()
