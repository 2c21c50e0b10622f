"""The page on workers is complete: every option of the library and of the command, and each signal's effect."""

from __future__ import annotations

import re
from pathlib import Path

from pyqueue.cli.worker import worker as command
from pyqueue.core.worker.options import WorkerOptions

PAGE = Path(__file__).parent.parent.parent / "docs" / "workers.md"


def documented() -> list[str]:
    _, _, table = PAGE.read_text().partition("<!-- options: checked against worker.options and the command -->")
    return re.findall(r"^\| `(\w+)` \|", table.partition("\n\n")[0], re.MULTILINE)


def test_every_option_is_documented_once_and_nothing_else_is() -> None:
    flags = {str(parameter.name) for parameter in command.params} - {"what"}

    names = documented()

    assert len(names) == len(set(names))
    assert set(names) == flags | set(WorkerOptions.__annotations__)


def test_what_is_said_to_be_only_for_the_command_is() -> None:
    only = set(re.findall(r"^\| `(\w+)` \|[^|]*\| only as a command", PAGE.read_text(), re.MULTILINE))

    assert only == {str(parameter.name) for parameter in command.params} - {"what", "queues"} - set(
        WorkerOptions.__annotations__
    )
