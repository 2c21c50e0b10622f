"""`flask pyqueue …`: the commands of `pyqueue` on the queue of the application."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import click
from flask.cli import ScriptInfo

from pyqueue.cli.main import main
from pyqueue.cli.project import placed
from pyqueue.cli.reload import reloading
from pyqueue.cli.storage import reports_errors
from pyqueue.cli.worker import set_up, work_on, worker_options
from pyqueue.core.errors import ConfigError
from pyqueue.core.worker import turns

if TYPE_CHECKING:
    from pyqueue.contrib.flask.queues import AppQueue

_CHILDREN_RUN: Final = "pyqueue.contrib.flask.child:queue"


def commands_of(queue: AppQueue) -> click.Group:
    """The commands of an application."""
    group = Commands(queue, name="pyqueue", help="Background jobs: work on them, look at them, change them.")
    for command in main.commands.values():
        group.add_command(command)
    group.add_command(_worker_of(queue))
    return group


class Commands(click.Group):
    """Commands that are told where the queue is, in the context of its application."""

    def __init__(self, queue: AppQueue, **options: Any) -> None:
        super().__init__(**options)
        self._of_app = queue

    @reports_errors
    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was named."""
        with self._of_app.app.app_context(), placed(self._of_app.url()):
            return super().invoke(ctx)


def _worker_of(queue: AppQueue) -> click.Command:
    @click.command()
    @worker_options
    @reports_errors
    def worker(queues: str | None, reload: bool, log_format: str, log_level: str, **options: Any) -> None:
        """Run the tasks of this application until stopped.

        SIGTERM or Ctrl-C lets running jobs finish; a second one gives them back and ends at once. Start as many
        as you like.

        Exit codes: 0 it was stopped, or has done what it was to do; 1 it failed; 2 it was called wrongly.

        Example: flask --app shop pyqueue worker --queues emails,reports
        """
        if reload:
            return reloading(os.getcwd(), program="flask")
        if options["mode"] == "process":
            options["import_path"] = _children_of(click.get_current_context().ensure_object(ScriptInfo))
        set_up(log_format, log_level)
        return work_on(queue, None if queues is None else turns.parse(queues), None, **options)

    return worker


def _children_of(program: ScriptInfo) -> str:
    """What child processes run: the application that `flask` was told of, by the variable that tells it them too.

    Raises:
        ConfigError: the program has made it by itself.
    """
    if program.create_app is not None:
        raise ConfigError(
            "mode 'process' has the jobs run by processes that make the application, and this program has made its own "
            "(FlaskGroup(create_app=…), or a test); expected flask --app MODULE:FACTORY pyqueue worker --mode process."
        )
    if program.app_import_path is not None:
        os.environ["FLASK_APP"] = program.app_import_path
    return _CHILDREN_RUN
