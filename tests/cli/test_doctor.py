"""`pyqueue doctor`: what is well and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from pyqueue import PyQueue
from pyqueue.cli.main import main


def examine(storage: Path) -> tuple[int, dict[str, Any]]:
    ended = CliRunner().invoke(main, ["doctor", "--storage", str(storage), "--json"])
    return ended.exit_code, {found["what"]: found for found in map(json.loads, ended.stdout.splitlines())}


def test_a_queue_with_nothing_to_do_is_well(tmp_path: Path) -> None:
    with PyQueue(tmp_path / "jobs.db") as queue:
        queue.stats("q")

        code, found = examine(tmp_path / "jobs.db")

    assert (code, [what for what in found if not found[what]["ok"]]) == (0, [])
    assert {"writable", "disk", "integrity", "journal", "schema", "queues", "workers"} <= set(found)


def test_jobs_that_wait_without_a_worker_are_told(tmp_path: Path) -> None:
    with PyQueue(tmp_path / "jobs.db") as queue:
        queue.push("q", "n")

        code, found = examine(tmp_path / "jobs.db")

    assert (code, found["workers"]["ok"]) == (1, False)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8_192)

    code, found = examine(path)

    assert (code, found["integrity"]["ok"]) == (1, False)
    assert "schema" not in found


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert examine(tmp_path / "jobs.db") == (2, {})
