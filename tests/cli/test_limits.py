"""The commands on limits, and those that answer about one job."""

from __future__ import annotations

import json
import threading

import pytest

from pyqueue import PyQueue
from tests.cli.calling import run


def test_limits_are_set_listed_and_cleared(storage: str) -> None:
    assert run("limits", "set", "q", "--concurrency", "3", "--rate", "2.5", storage=storage).exit_code == 0
    assert run("limits", "set", "q", "--key", "*", "--concurrency", "1", storage=storage).exit_code == 0
    assert run("limits", "set", "q", "--pushes", "--rate", "7", "--burst", "9", storage=storage).exit_code == 0

    table = run("limits", "list", storage=storage)
    lines = [line.split() for line in table.stdout.splitlines()]
    assert lines[1:] == [
        ["q", "pushes", "7", "per", "1000", "ms", "9"],
        ["q", "all", "jobs", "3", "2.5", "per", "1000", "ms", "3"],
        ["q", "each", "key", "1"],
    ]
    shown = [json.loads(line) for line in run("limits", "list", "q", "--json", storage=storage).stdout.splitlines()]
    assert [(limit["key"], limit["concurrency"], limit["limits_pushes"]) for limit in shown] == [
        (None, None, True),
        (None, 3, False),
        ("*", 1, False),
    ]
    assert run("limits", "clear", "q", "--key", "*", storage=storage).exit_code == 0
    assert run("limits", "clear", "q", "--pushes", storage=storage).exit_code == 0
    assert "no such limit" in run("limits", "clear", "q", "--key", "*", storage=storage).stderr
    assert len(run("limits", "list", storage=storage).stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["set", "q"], "neither concurrency nor rate"),
        (["set", "q", "--pushes", "--concurrency", "1"], "--pushes takes a --rate"),
        (["clear", "q", "--pushes", "--key", "a"], "expected one of them"),
    ],
)
def test_wrong_limits_end_with_2(storage: str, arguments: list[str], says: str) -> None:
    result = run("limits", *arguments, storage=storage)

    assert (result.exit_code, says in result.stderr) == (2, True)


def test_status_tells_limits_and_open_breakers(storage: str) -> None:
    with PyQueue(storage) as queue:
        queue.set_limit("q", concurrency=1)
        queue.set_breaker("q", failures=1)
        queue.push("q", "n")
        queue.fail(queue.pull("q")[0], "down")

    assert "breaker open" in run("status", storage=storage).stdout
    [shown] = [json.loads(line) for line in run("status", "--json", storage=storage).stdout.splitlines()]
    assert shown["limits"][0]["concurrency"] == 1
    assert (shown["breaker"]["state"], shown["breaker"]["failures"]) == ("open", 1)


def test_explain_is_a_sentence_or_an_object(storage: str) -> None:
    with PyQueue(storage) as queue:
        job = queue.push("q", "n")

    assert run("explain", job, storage=storage).stdout == (
        "No worker was heard of that pulls from queue q. Start one.\n"
    )
    shown = json.loads(run("explain", job, "--json", storage=storage).stdout)
    assert (shown["reason"], shown["state"], shown["facts"]["queue"]) == ("no_worker", "waiting", "q")
    assert run("explain", "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e", storage=storage).exit_code != 0


def test_logs_are_shown_and_followed_to_the_end(storage: str) -> None:
    with PyQueue(storage) as queue:
        queue.push("q", "n")
        [job] = queue.pull("q")
        queue.progress(job, 1, "first")

        def finish() -> None:
            queue.progress(job, 2, "second")
            queue.ack(job)

        threading.Timer(0.3, finish).start()
        followed = run("logs", job.id, "--follow", storage=storage)

    assert [line.split("  ")[1] for line in followed.stdout.splitlines()] == ["first", "second"]
    shown = run("logs", job.id, "--after", "1", "--json", storage=storage).stdout
    assert json.loads(shown)["message"] == "second"
