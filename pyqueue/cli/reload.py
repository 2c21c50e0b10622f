"""`--reload`: runs this very command as a child process, anew whenever the code changes."""

from __future__ import annotations

import shlex
import sys

import click

from pyqueue.core.errors import ConfigError


def reloading(folder: str, *, program: str = "pyqueue") -> None:
    """Runs the command of this process without `--reload`, and again after each change of Python code below a folder.

    `program`: the module whose command it is.

    Raises:
        ConfigError: watchfiles is not installed.
    """
    try:
        from watchfiles import PythonFilter, run_process
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--reload watches the code with watchfiles, which is not installed; "
            "install it (pip install watchfiles), or pyqueue with the extra [reload]."
        ) from error

    arguments = [argument for argument in sys.argv[1:] if argument != "--reload"]
    click.echo(f"watching the Python code in {folder}", err=True)
    run_process(
        folder,
        target=shlex.join([sys.executable, "-m", program, *arguments]),
        target_type="command",
        watch_filter=PythonFilter(),
        callback=lambda changes: click.echo(f"{len(changes)} changed; starting anew", err=True),
        sigint_timeout=60,
    )
