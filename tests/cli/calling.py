"""The commands, called in this process."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result

from pyqueue.cli.main import main


def run(*arguments: str, storage: str, **kwargs: Any) -> Result:
    return CliRunner().invoke(main, [*arguments, "--storage", storage], **kwargs)
