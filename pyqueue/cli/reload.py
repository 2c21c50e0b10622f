"""`--reload`: runs this very command as a child process, anew whenever the code changes."""

from __future__ import annotations

import sys
from typing import Final

import click

from pyqueue.cli.reloaded import Child
from pyqueue.core.errors import ConfigError

# How often it is asked whether the child has ended.
_LOOK_MS: Final = 200


def reloading(folder: str, *, program: str = "pyqueue") -> None:
    """Runs the command of this process without `--reload`, and again after each change of Python code below a folder.

    `program`: the module whose command it is.

    Raises:
        ConfigError: watchfiles is not installed.
    """
    try:
        from watchfiles import PythonFilter, watch
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--reload watches the code with watchfiles, which is not installed; "
            "install it (pip install watchfiles), or pyqueue with the extra [reload]."
        ) from error

    arguments = [argument for argument in sys.argv[1:] if argument != "--reload"]
    click.echo(f"watching the Python code in {folder}", err=True)
    with Child([sys.executable, "-m", program, *arguments]) as child:
        child.start()
        for changes in watch(folder, watch_filter=PythonFilter(), rust_timeout=_LOOK_MS, yield_on_timeout=True):
            if changes and not child.is_stopping:
                click.echo(f"{len(changes)} changed; starting anew", err=True)
                child.end()
                child.start()
            if child.is_stopping and child.has_ended:
                break
        sys.exit(child.wait())
