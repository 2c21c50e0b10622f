"""`FlaskQueue`: the queue of whichever application is at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Unpack, cast
from weakref import WeakSet

from flask import Blueprint, Flask, current_app, has_app_context, request_started
from werkzeug.local import LocalProxy

from pyqueue.contrib.flask.api import Authorize, blueprint_of
from pyqueue.contrib.flask.commands import commands_of
from pyqueue.contrib.flask.configuration import configuration
from pyqueue.contrib.flask.queues import AppQueue
from pyqueue.core.clock import Clock
from pyqueue.core.errors import ConfigError
from pyqueue.core.handle.producing import PushHook
from pyqueue.core.handle.pushing import Pushing
from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.task import TaskQueue
from pyqueue.core.worker.drain import Drain
from pyqueue.core.worker.options import WorkerOptions
from pyqueue.core.worker.run import EitherHandler, Handler
from pyqueue.core.worker.worker import Worker

_NAME: Final = "pyqueue"
# What a handle has of its own, and each application therefore too.
_OF_AN_APP: Final = frozenset(
    {"_clock", "_depth_max", "_housekeeper", "_housekeeping", "_lease_ms", "_opening", "_runtime", "path"}
)


class AppTasks(Tasks):
    """The tasks of an extension: they push to the queue of the application at work."""

    def __init__(self, extension: FlaskQueue) -> None:
        super().__init__()
        self._extension = extension

    @property
    def queue(self) -> TaskQueue:
        return self._extension.current


class FlaskQueue(PyQueue):
    """A queue as an extension of Flask: made once, at import, for any number of applications.

        queue = FlaskQueue()

        @queue.task
        def send_receipt(order_id: int) -> None: ...

        def create_app() -> Flask:
            app = Flask(__name__)
            app.config["PYQUEUE_STORAGE"] = "jobs.db"
            queue.init_app(app)
            return app

    All calls of a `PyQueue` are there inside the context of an application, and go to its queue; tasks, schedules
    and hooks are defined before there is any, and are those of all of them.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._queues: WeakSet[AppQueue] = WeakSet()
        self._push_hooks: list[Callable[[Pushing], Any]] = []
        self._share(AppTasks(self))
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Gives an application a queue, by its configuration `PYQUEUE_…`, and the commands `flask pyqueue …`.

        Nothing is opened or started: the file with its first use, embedded workers with the first request.

        Raises:
            ConfigError: the configuration cannot be understood, or the application has a queue already.
        """
        if _NAME in app.extensions:
            raise ConfigError(f"the application {app.name!r} has a queue already; expected one init_app(app) for each.")
        made = AppQueue(app, self.tasks, configuration(app))
        for hook in self._push_hooks:
            made.wrap_push(hook)
        self._queues.add(made)
        app.extensions[_NAME] = made
        app.cli.add_command(commands_of(made))
        if made.embedded is not None:
            request_started.connect(made.embedded.start_with, app)

    @property
    def current(self) -> AppQueue:
        """The queue of the application whose context this is.

        Raises:
            ConfigError: there is no context, or the application has no queue of this extension.
        """
        if not has_app_context():
            raise ConfigError(
                "there is no application here whose queue could be meant; expected a view, a job or a command of one, "
                "or `with app.app_context():`. For workers and commands: flask pyqueue worker, flask pyqueue status."
            )
        return self.of(current_app)

    def of(self, app: Flask) -> AppQueue:
        """The queue of an application, wherever it is asked for.

        Raises:
            ConfigError: it has none.
        """
        app = app._get_current_object() if isinstance(app, LocalProxy) else app
        found = app.extensions.get(_NAME)
        if found is None or found not in self._queues:
            raise ConfigError(
                f"the application {app.name!r} has no queue; expected queue.init_app(app) when it is made."
            )
        return cast(AppQueue, found)

    def blueprint(self, authorize: Authorize, *, name: str = "pyqueue_api", url_prefix: str | None = None) -> Blueprint:
        """The HTTP API of the queue, to be registered under any prefix: `{prefix}/api/v1/queues`, ….

        `authorize()` is asked at every request, documents included, and says `none`, `read`, `operate` or `admin`: see
        `pyqueue.web.access`. It may abort with an answer of its own. Requests that pages of other sites make are
        refused whatever it says, so a cookie is enough to know the user by.
        """
        return blueprint_of(self, authorize, name=name, url_prefix=url_prefix)

    def __getattr__(self, name: str) -> Any:
        """Called for what this handle lacks: what its methods work on is the current application's."""
        if name in _OF_AN_APP:
            return getattr(self.current, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # What goes on when the context of the caller is left belongs to one application.

    def worker(
        self,
        queues: str | Sequence[str] | Mapping[str, int] | None = None,
        handler: Callable[[Job], Any] | None = None,
        **options: Unpack[WorkerOptions],
    ) -> Worker:
        """A worker of the current application: see `AppQueue.worker`."""
        return self.current.worker(queues, handler, **options)

    def runs(self, handler: Callable[[Job], Any] | None) -> Handler | EitherHandler:
        """What a worker of the current application would run."""
        return self.current.runs(handler)

    def _drain(
        self,
        queues: str | Sequence[str] | None,
        handler: Callable[[Job], Any] | None,
        moves_clock: bool,
        raises: bool,
    ) -> Drain:
        return self.current._drain(queues, handler, moves_clock, raises)

    @contextmanager
    def lent_to_memory(self, *, clock: Clock | None = None) -> Iterator[None]:
        """Within the block the queue of the current application is in memory. For `pyqueue.testing.in_memory`."""
        with self.current.lent_to_memory(clock=clock):
            yield

    def wrap_push(self, hook: PushHook) -> PushHook:
        """Surrounds every push of every application with the hook: see `PyQueue.wrap_push`."""
        self._push_hooks.append(hook)
        for each in self._queues:
            each.wrap_push(hook)
        return hook

    def unwrap_push(self, hook: Callable[[Pushing], Any]) -> None:
        """Takes a hook of `wrap_push` back."""
        self._push_hooks[:] = [each for each in self._push_hooks if each is not hook]
        for each in self._queues:
            each.unwrap_push(hook)

    def __repr__(self) -> str:
        return f"<FlaskQueue of {len(self._queues)} applications>"
