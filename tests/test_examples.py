"""The example projects work as their pages say, and the README shows the quickstart as it is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from tests import shell

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "example_projects" / "quickstart"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the quickstart."""
    return Path(shutil.copytree(QUICKSTART, tmp_path / "quickstart"))


def test_the_quickstart_runs_as_its_page_says(project: Path) -> None:
    commands = re.findall(r"^\$ (.+)$", (project / "README.md").read_text(), re.MULTILINE)

    outputs = [shell.run(command, project) for command in commands]

    ids = outputs[0].split()
    with PyQueue(project / "jobs.db") as queue:
        jobs = [queue.get_job(job_id) for job_id in ids]
    assert [(job.state, job.result) for job in jobs] == [
        (JobState.COMPLETED, "welcomed user@a.com"),
        (JobState.COMPLETED, "welcomed other@a.com"),
    ]
    assert all(job_id in outputs[2] for job_id in ids)


def test_the_first_minute_of_the_readme_is_the_quickstart(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    [minute] = re.findall(r"^## The first job in 60 seconds\n(.*?)^## ", readme, re.MULTILINE | re.DOTALL)
    [program] = re.findall(r"^```python\n(.*?)^```", minute, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ (.+)$", minute, re.MULTILINE)
    (tmp_path / "shop.py").write_text(program)

    outputs = [shell.run(command, tmp_path) for command in commands]

    assert program == (QUICKSTART / "shop.py").read_text()
    assert commands[0] == "python shop.py"
    with PyQueue(tmp_path / "jobs.db") as queue:
        assert queue.get_job(outputs[0].strip()).result == "welcomed user@a.com"


def test_the_shop_keeps_what_its_own_tests_say(tmp_path: Path) -> None:
    shop = ROOT / "example_projects" / "django_shop"
    said = shell.run(f"PYQUEUE_STORAGE={tmp_path / 'shop.db'} PYTHONPATH={ROOT} python manage.py test 2>&1", shop)
    unmigrated = shell.run("python manage.py makemigrations --check", shop)

    assert "OK" in said
    assert "No changes detected" in unmigrated
