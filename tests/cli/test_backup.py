"""Backups of a file that is in use."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyqueue import PyQueue
from pyqueue.cli.main import main


def back_up(storage: Path, target: Path) -> Result:
    return CliRunner().invoke(main, ["backup", str(target), "--storage", str(storage)])


def test_a_backup_holds_what_was_acknowledged_before_it(tmp_path: Path) -> None:
    path, target = tmp_path / "jobs.db", tmp_path / "copy.db"
    with PyQueue(path, durability="process") as queue:
        before = [queue.push("q", "n") for _ in range(50)]
        stop = threading.Event()
        writer = threading.Thread(target=_push_until, args=(queue, stop))
        writer.start()
        ended = back_up(path, target)
        stop.set()
        writer.join()

    assert ended.exit_code == 0, ended.output
    with PyQueue(target) as copy:
        assert [copy.get_job(job_id).id for job_id in before] == before
        assert copy.push("q", "n")
    assert sorted(each.name for each in tmp_path.iterdir() if "partial" in each.name) == []


def _push_until(queue: PyQueue, stop: threading.Event) -> None:
    while not stop.is_set():
        queue.push("q", "n")


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    path, target = tmp_path / "jobs.db", tmp_path / "copy.db"
    with PyQueue(path) as queue:
        queue.push("q", "n")
    target.write_text("precious")

    assert back_up(path, target).exit_code == 2
    assert target.read_text() == "precious"


@pytest.mark.parametrize("target", ["nowhere/copy.db", "copy.db"])
def test_what_cannot_be_backed_up_leaves_nothing_behind(tmp_path: Path, target: str) -> None:
    damaged = tmp_path / "jobs.db"
    damaged.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8_192)

    ended = back_up(damaged, tmp_path / target)

    assert ended.exit_code in (1, 2)
    assert [each.name for each in tmp_path.iterdir()] == ["jobs.db"]
