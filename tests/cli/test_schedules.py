"""`pyqueue schedules`: what it prints, and how it ends."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from pyqueue import PyQueue
from pyqueue.cli.main import main
from pyqueue.cli.schedules import create as create_command
from pyqueue.cli.schedules import schedules
from pyqueue.core.schedule import ScheduleOptions


def run(*arguments: str, storage: str) -> Result:
    return CliRunner().invoke(main, ["schedules", *arguments, "--storage", storage])


def make(storage: str, *flags: str) -> Result:
    return run("create", "--name", "nightly", "--queue", "reports", "--job-name", "build", *flags, storage=storage)


def test_every_option_of_a_schedule_is_a_flag() -> None:
    assert set(ScheduleOptions.__annotations__) <= {parameter.name for parameter in create_command.params}


def test_the_help_of_every_command_has_an_example() -> None:
    for name in schedules.commands:
        help_text = CliRunner().invoke(main, ["schedules", name, "--help"]).output
        assert f"Example: pyqueue schedules {name}" in " ".join(help_text.split()), name


def test_create_stores_it_and_prints_its_next_run(storage: str) -> None:
    options = ["--timezone", "Europe/Zurich", "--job-options", '{"priority": 3}', "--start-at", "2099-01-01T00:00:00Z"]

    result = make(storage, "--cron", "30 2 * * *", "--data", '{"kind": 1}', *options, "--overlap", "skip")

    assert (result.exit_code, result.stdout) == (0, "2099-01-01T01:30:00Z\n")
    with PyQueue(storage) as queue:
        schedule = queue.get_schedule("nightly")
    assert (schedule.job_data, schedule.job_options, schedule.overlap) == ({"kind": 1}, {"priority": 3}, "skip")


def test_show_prints_the_next_five_runs_and_the_last_ones(storage: str) -> None:
    make(storage, "--cron", "30 2 1 1 *", "--timezone", "Europe/Zurich")
    job_id = run("trigger", "nightly", storage=storage).stdout.strip()

    text, shape = run("show", "nightly", storage=storage), run("show", "nightly", "--json", storage=storage)

    assert text.stdout.count("-01-01T02:30:00+01:00") == 5 and f"job {job_id} (triggered)" in text.stdout
    decoded = json.loads(shape.stdout)
    assert len(decoded["next_runs"]) == 5 and decoded["last_runs"][0]["job_id"] == job_id
    assert decoded["cron_expr"] == "30 2 1 1 *" and decoded["paused"] is False


def test_list_prints_a_table_or_an_object_a_line(storage: str) -> None:
    assert make(storage, "--every-ms", "60000", "--max-executions", "9").exit_code == 0

    table, lines = run("list", storage=storage), run("list", "--json", storage=storage)

    assert "every 60,000 ms" in table.stdout and "nightly" in table.stdout
    assert [json.loads(line)["max_executions"] for line in lines.stdout.splitlines()] == [9]


def test_edit_pause_resume_and_delete_do_what_they_say(storage: str) -> None:
    make(storage, "--every-ms", "60000", "--max-executions", "9")

    results = [
        run("edit", "nightly", "--cron", "@daily", "--clear", "max_executions", storage=storage),
        run("pause", "nightly", storage=storage),
    ]

    assert [result.exit_code for result in results] == [0, 0]
    with PyQueue(storage) as queue:
        schedule = queue.get_schedule("nightly")
    assert (schedule.cron_expr, schedule.max_executions, schedule.is_paused) == ("@daily", None, True)
    assert "is on" in run("resume", "nightly", storage=storage).stderr
    assert [run("delete", "nightly", storage=storage).exit_code for _ in range(2)] == [0, 1]


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--cron", "* * *"], "Invalid cron"),
        ([], "cron_expr or every_ms"),
        (["--every-ms", "1000", "--data", "{"], "--data is not JSON"),
        (["--every-ms", "1000", "--end-at", "tomorrow"], "--end-at 'tomorrow'"),
        (["--cron", "@daily", "--timezone", "Nowhere"], "IANA"),
    ],
)
def test_wrong_usage_ends_with_two_and_one_line(storage: str, flags: list[str], part: str) -> None:
    result = make(storage, *flags)

    assert result.exit_code == 2
    assert part in result.stderr and result.stderr.strip().splitlines()[-1].startswith("pyqueue: ")


def test_an_unknown_name_ends_with_one(storage: str) -> None:
    make(storage, "--every-ms", "1000")

    for command in ("show", "pause", "resume", "trigger", "delete"):
        result = run(command, "nothing", storage=storage)
        assert result.exit_code == 1 and "nothing" in result.stderr
    assert run("edit", "nightly", storage=storage).exit_code == 2
