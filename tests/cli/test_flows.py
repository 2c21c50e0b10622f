"""`pyqueue flows`: a flow as people and programs see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyqueue import PyQueue
from pyqueue.cli.main import main


def call(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["flows", *arguments, "--storage", str(path)])


@pytest.fixture
def ids(path: Path) -> list[str]:
    with PyQueue(path) as queue:
        ids = queue.push_many(
            "q",
            [
                {"name": "extract", "ref": "a", "flow_id": "f"},
                {"name": "left", "ref": "b", "depends_on": ["a"], "flow_id": "f"},
                {"name": "right", "ref": "c", "depends_on": ["a"], "flow_id": "f", "max_attempts": 1},
                {"name": "end", "depends_on": ["b", "c"], "flow_id": "f"},
            ],
        )
        queue.ack(queue.pull("q")[0])
        one, other = queue.pull("q", count=2)
        queue.ack(one)
        queue.fail(other, "Traceback\nValueError: broken")
    return ids


def test_show_draws_each_job_below_its_parents(path: Path, ids: list[str]) -> None:
    shown = call(path, "show", "f")

    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "4 of 4 ended (100 %): 2 completed, 2 dlq",
        f"✓ extract  completed  {ids[0]}",
        f"  ✓ left   completed  {ids[1]}",
        f"  ✗ right  dlq        {ids[2]}  ValueError: broken",
        f"    ✗ end  dlq        {ids[3]}  after left, right  parent job '{ids[2]}' moved to DLQ",
    ]
    assert "and 2 more" in call(path, "show", "f", "--limit", "2").stderr


def test_show_speaks_json(path: Path, ids: list[str]) -> None:
    [line] = call(path, "show", "f", "--json").stdout.splitlines()

    flow = json.loads(line)
    assert (flow["flow_id"], flow["progress"], flow["summary"]["dlq"], flow["summary"]["total"]) == ("f", 100, 2, 4)
    assert [job["id"] for job in flow["jobs"]] == ids


def test_a_flow_is_retried_cancelled_and_deleted(path: Path, ids: list[str]) -> None:
    assert call(path, "retry", "f").stdout == "2\n"
    assert json.loads(call(path, "cancel", "f", "--json").stdout) == {"flow_id": "f", "cancelled": 2}
    assert call(path, "delete", "f", "--yes").stdout == "4\n"

    gone = call(path, "show", "f")
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert "no job carries the flow id 'f'" in gone.stderr


def test_a_flow_that_runs_is_not_deleted(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.push("q", "n", flow_id="f")
        queue.pull("q")

    refused = call(path, "delete", "f", "--yes")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Cancel the flow" in refused.stderr
