"""The three examples on one file: a job that one pushes is run by the worker of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from tests.browser.running import ROOT, running

for framework in ("django", "flask", "fastapi"):
    pytest.importorskip(framework)

EXAMPLES = ROOT / "example_projects"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "all.db"
    with running(file, "example-django", "example-flask", "example-fastapi"):
        yield file


def test_jobs_pushed_by_one_framework_are_run_by_the_workers_of_the_others(database: Path) -> None:
    by_fastapi = """
import main
from fastapi.testclient import TestClient
with TestClient(main.app) as client:
    print(client.app.state.pyqueue.push("reports", "report-sales", {"day": "2030-01-01"}))
"""

    to_flask = _run(database, "django_shop", "manage.py", *_push("tidying", "forget-old-notes", {"days": 1}))
    to_fastapi = _run(
        database, "flask_notes", "-m", "flask", "--app", "notes", *_push("numbers", "build-report", {"up_to": 100})
    )
    to_django = _run(database, "fastapi_reports", "-W", "ignore", "-c", by_fastapi)

    with PyQueue(database) as queue:
        assert queue.wait_for(to_flask, timeout=30) == 0
        assert queue.wait_for(to_fastapi, timeout=30) == {"primes": 25, "largest": 97, "widest_gap": 8}
        assert queue.wait_for(to_django, timeout=30) == 0
        ran_by = {queue.get_job(job_id).worker_id for job_id in (to_flask, to_fastapi, to_django)}
        assert len(ran_by) == 3, ran_by
        assert {schedule.name for schedule in queue.list_schedules()} == {
            "build-report",
            "forget-old-notes",
            "report-sales",
        }


def _push(queue: str, name: str, data: dict[str, Any]) -> list[str]:
    return ["pyqueue", "push", queue, name, "--data", json.dumps(data)]


def _run(database: Path, example: str, *arguments: str) -> str:
    """What Python says in the folder of an example: the id of a job."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=EXAMPLES / example,
        env={**os.environ, "PYQUEUE_STORAGE": str(database), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
