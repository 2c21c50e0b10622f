"""A storage that cannot be used says what to do, loses nothing, and is used again once the cause is gone."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import (
    ConfigError,
    SchemaTooNew,
    StorageBusy,
    StorageCorrupt,
    StorageError,
    StorageFull,
)
from pyqueue.core.store import connection

pytestmark = pytest.mark.sqlite("faults of files and disks")


def run_program(program: str, *arguments: object) -> str:
    """Runs a program in a process of its own; gives what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with PyQueue(tmp_path) as queue, pytest.raises(StorageError, match=r"is a folder; expected.*Try .*jobs\.db"):
        queue.push("q", "n")


def test_a_missing_folder_and_the_same_handle_once_it_is_there(tmp_path: Path) -> None:
    with PyQueue(tmp_path / "missing" / "jobs.db") as queue:
        with pytest.raises(StorageError, match="does not exist; create"):
            queue.push("q", "n")
        (tmp_path / "missing").mkdir()

        assert queue.push("q", "n")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "scheme 'mysql'"),
        ("sqlite://host/x.db", "expected 'sqlite:///"),
        ("sqlite:///", "expected 'sqlite:///"),
        ("sqlite:///x.db?mode=ro", "nothing else"),
        ("", "expected a path"),
    ],
)
def test_a_url_that_cannot_work_is_refused_at_once(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PyQueue(url)


def test_an_unknown_durability_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected 'power'.*or 'process'"):
        PyQueue("jobs.db", durability="none")


@pytest.mark.parametrize(
    "garbage", [b"this is no database, but a letter " * 40, b"SQLite format 3\0" + b"\xff" * 4_000]
)
def test_a_file_that_is_no_database_is_not_touched(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    with PyQueue(path) as queue:
        for _ in range(2):
            with pytest.raises(StorageCorrupt, match=r"damaged or no SQLite database.*Restore a backup"):
                queue.push("q", "n")
        assert path.read_bytes() == garbage
        path.unlink()

        assert queue.push("q", "n")


def test_a_damaged_page_is_reported_and_a_restored_file_works_again(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push_many("q", [{"name": "n", "data": "x" * 500}] * 200)
    backup = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(len(backup) - 8_192))

    with PyQueue(path) as queue:
        with pytest.raises(StorageCorrupt):
            queue.pull("q", count=200)
        path.write_bytes(backup)

        assert len(queue.pull("q", count=200)) == 200


def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "n")
        connection = sqlite3.connect(path)
        [known] = connection.execute("SELECT value FROM pyqueue_meta WHERE key = 'schema_version'").fetchone()
        connection.execute("UPDATE pyqueue_meta SET value = 99 WHERE key = 'schema_version'")
        connection.commit()
    with PyQueue(path) as queue:
        with pytest.raises(SchemaTooNew, match=r"version 99; this pyqueue knows.*Upgrade pyqueue"):
            queue.push("q", "n")
        connection.execute("UPDATE pyqueue_meta SET value = ? WHERE key = 'schema_version'", (known,))
        connection.commit()
        connection.close()

        assert len(queue.pull("q")) == 1


def test_a_read_only_file_is_reported_and_works_again_when_it_is_writable(path: Path) -> None:
    """As another user where the tests run as root, whom permissions do not stop."""
    with PyQueue(path) as queue:
        queue.push("q", "n")
    for folder in path.parents:
        if folder.stat().st_uid == os.getuid() and folder.name.startswith(("pytest", "popen-", "test_")):
            folder.chmod(0o755)
    path.chmod(0o444)
    program = """
        import os, sys
        from pyqueue import PyQueue
        from pyqueue.core.errors import StorageReadOnly
        is_root = os.getuid() == 0
        queue = PyQueue(sys.argv[1])
        if is_root:
            os.seteuid(65534)
        try:
            queue.push("q", "refused")
        except StorageReadOnly as error:
            print("refused:", error)
        if is_root:
            os.seteuid(0)
        os.chmod(sys.argv[1], 0o666)
        print("jobs:", len(queue.pull("q", count=9)))
    """

    output = run_program(program, path)

    assert "refused:" in output
    assert "write permission on the file and on its folder" in output
    assert "jobs: 1" in output


def test_a_full_disk_loses_nothing_and_the_handle_works_again_when_there_is_room(path: Path) -> None:
    """The limit on file sizes stands in for the disk: SQLite meets the same refusal to write."""
    program = """
        import resource, signal, sys
        from pyqueue import PyQueue
        from pyqueue.core.errors import StorageError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        queue = PyQueue(sys.argv[1])
        kept = [queue.push("q", "kept", "x" * 1000) for _ in range(20)]
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        refused = 0
        for _ in range(400):
            try:
                kept.append(queue.push("q", "more", "x" * 1000))
            except StorageError as error:
                refused += 1
                message = error
        print("refused", refused > 0, type(message).__name__, message)
        print("readable", queue.stats("q").waiting == len(kept))
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        kept += queue.push_many("q", [{"name": "after", "data": "x" * 1000}] * 50)
        print("kept", {job.id for job in queue.pull("q", count=1000)} == set(kept))
    """

    output = run_program(program, path)

    assert "refused True" in output
    assert "readable True" in output
    assert "kept True" in output
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """On a small file system of its own, where that may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here; the limit on file sizes was tried instead")
    try:
        with PyQueue(disk / "jobs.db") as queue:
            kept: list[str] = []
            with pytest.raises(StorageFull, match=r"nothing was stored\. Free disk space"):
                kept.extend(queue.push("q", "more", "x" * 2_000) for _ in range(1_000))
            assert queue.stats("q").waiting == len(kept)
            subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
            kept.append(queue.push("q", "after", "x" * 2_000))
            assert {job.id for job in queue.pull("q", count=1_000)} == set(kept)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_forgotten_transaction_of_another_process_ends_in_a_clear_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.2)
    with PyQueue(path) as queue:
        queue.push("q", "n")
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy, match="keeps a transaction open"):
            queue.push("q", "n")
        assert queue.stats("q").waiting == 1, "reading needs no lock"
        other.rollback()
        other.close()

        assert queue.push("q", "n")


def test_a_lock_held_for_a_moment_is_waited_out(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "n")
        other = sqlite3.connect(path, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, other.rollback).start()

        assert queue.push("q", "n")
        other.close()


def test_two_handles_that_make_the_same_new_file_at_once(path: Path) -> None:
    handles = [PyQueue(path) for _ in range(8)]
    threads = [threading.Thread(target=handle.push, args=("q", "n")) for handle in handles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert handles[0].stats("q").waiting == 8
    for handle in handles:
        handle.close()
