"""Running a worker on a handle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from pyqueue.core import validate
from pyqueue.core.clock import Clock
from pyqueue.core.config import MEMORY
from pyqueue.core.engine.finish import Ack
from pyqueue.core.engine.lease import TimeOut
from pyqueue.core.engine.pull import Pull
from pyqueue.core.engine.queues import overview
from pyqueue.core.engine.workers import Beat, Leave
from pyqueue.core.errors import ConfigError, PyQueueError, ValidationError
from pyqueue.core.handle import waiting
from pyqueue.core.handle.consuming import Consuming
from pyqueue.core.handle.flows import WithFlows
from pyqueue.core.handle.inspecting import Inspecting
from pyqueue.core.handle.refs import ref_of
from pyqueue.core.handle.scheduling import Scheduling
from pyqueue.core.handle.steps import Stepping
from pyqueue.core.housekeeper import Housekeeper
from pyqueue.core.job import FailResult, HeartbeatResult, HousekeepingReport, Job
from pyqueue.core.presence import Presence
from pyqueue.core.tasks.around import Around
from pyqueue.core.tasks.registry import Tasks
from pyqueue.core.tasks.running import TaskHandler

if TYPE_CHECKING:
    from pyqueue.core.worker.drain import Drain, DrainReport
    from pyqueue.core.worker.options import Settings, WorkerOptions
    from pyqueue.core.worker.pipe import Work
    from pyqueue.core.worker.run import EitherHandler, Handler
    from pyqueue.core.worker.worker import Worker, WorkerReport


class Working(Consuming, Stepping, Scheduling, WithFlows, Inspecting):
    """The part of a handle that runs handlers on jobs, and the housekeeping that goes with it."""

    _housekeeper: Housekeeper
    _clock: Clock
    tasks: Tasks
    _housekeeping: threading.Lock
    path: str
    _opening: dict[str, Any]

    def housekeep(self) -> HousekeepingReport:
        """Does now what housekeeping would.

        It ends delays, ttls, leases and timeouts that are over, fires schedules, and removes old jobs.
        """
        return self._housekeeper.run_once()

    async def ahousekeep(self) -> HousekeepingReport:
        """`housekeep` for event loops."""
        return await self._runtime.arun(self._housekeeper.run_once)

    @property
    def housekeeping_seconds(self) -> float | None:
        """How long the last pass of this handle's housekeeping took; None before the first."""
        return self._housekeeper.last_pass_seconds

    def start_housekeeping(self) -> None:
        """Starts a thread that does `housekeep` whenever something is due. It stops with `close`. Idempotent."""
        self._runtime.require_open()
        with self._housekeeping:
            self._housekeeper.start()

    def include(self, tasks: Tasks) -> None:
        """Makes the tasks of a registry push to this queue, and this queue's workers run them.

        Raises:
            ConfigError: two tasks have one name, or the registry belongs to another queue.
        """
        self.tasks.include(tasks)

    def worker(
        self,
        queues: str | Sequence[str] | Mapping[str, int] | None = None,
        handler: Callable[[Job], Any] | None = None,
        **options: Unpack[WorkerOptions],
    ) -> Worker:
        """A worker that has not started: call its `run`, and from elsewhere its `stop`. See `run_worker`."""
        from pyqueue.core.worker.options import settings_of  # Most who import pyqueue push, and run no worker.
        from pyqueue.core.worker.turns import turns_of
        from pyqueue.core.worker.worker import Worker

        settings = settings_of(options, self._lease_ms)
        names = self._queues_of_tasks() if queues is None else queues
        turns = turns_of(names if isinstance(names, Mapping) else self._pull_of(names, 1, None, None).queues)
        runs = self.runs(handler)
        tasks = self.tasks.names if handler is None else ()
        work = self._work(handler, settings) if settings.mode == "process" else None
        return Worker(self, turns, runs, settings, tasks=tasks, work=work)

    def runs(self, handler: Callable[[Job], Any] | None) -> Handler | EitherHandler:
        """What a worker calls for a job: the handler with what surrounds it, or the tasks of this queue. For workers.

        Raises:
            ValidationError: the handler is no function.
        """
        if handler is None:
            return TaskHandler(self.tasks, self)
        return self._surrounded(handler)

    def _task_handler(self) -> TaskHandler:
        """What a drain runs: for handles that have to run tasks in another way."""
        return TaskHandler(self.tasks, self)

    def _surrounded(self, handler: Callable[[Job], Any]) -> Callable[[Job], Any]:
        if not callable(handler):
            raise ValidationError(f"handler {validate.shown(handler)}; expected a function that takes a Job.")
        return Around(self).handling(handler, lambda: self.tasks.wraps)

    def _work(self, handler: Callable[[Job], Any] | None, settings: Settings) -> Work:
        """What child processes are to run. They have no memory of this process, only names."""
        from pyqueue.core import logs
        from pyqueue.core.worker.pipe import Work
        from pyqueue.core.worker.target import path_of

        if self._runtime.store.path == MEMORY:
            raise ConfigError("a queue in memory has no other processes; mode 'process' needs one in a file.")
        import_path = settings.import_path or path_of(self if handler is None else handler)
        log_format, log_level = logs.in_use()
        return Work(import_path, self._opening, log_format, log_level)

    def _queues_of_tasks(self) -> list[str]:
        if not self.tasks.queues:
            raise ConfigError("no queues were given and there are no tasks; name queues, or define tasks first.")
        return self.tasks.queues

    def run_worker(
        self,
        queues: str | Sequence[str] | Mapping[str, int] | None = None,
        handler: Callable[[Job], Any] | None = None,
        **options: Unpack[WorkerOptions],
    ) -> WorkerReport:
        """Runs `handler(job)` on the jobs of `queues` until told to stop.

        `queues`: names in strict order of preference, or a mapping of names to weights (`{"emails": 3,
        "reports": 1}`: three jobs of the one for each of the other). Without a handler it runs the tasks of this
        queue, and without `queues` on all queues that they push to.
        A plain handler runs on `concurrency` threads, an `async def` one as that many tasks on
        one event loop; with `mode="process"` either runs in that many processes. What it returns (JSON) becomes the
        job's result; what it raises is a failed attempt, with the traceback in `last_error`. A run that exceeds the
        job's `timeout_ms` is ended: see `docs/workers.md`. Leases are kept alive whatever the
        handler does. Called in the main thread, SIGTERM and SIGINT end it: the first lets running
        jobs finish for up to `grace_ms`, the second, or the end of that time, gives them back.
        Database trouble is waited out. Options: see `WorkerOptions`.

        Raises:
            ValidationError, ConfigError: the options do not fit, or not together.
        """
        return self.worker(queues, handler, **options).run()

    def drain(
        self,
        queues: str | Sequence[str] | None = None,
        handler: Callable[[Job], Any] | None = None,
        *,
        moves_clock: bool = True,
        raises: bool = False,
    ) -> DrainReport:
        """Runs everything there is, now and in this thread, until nothing is left: for tests.

        Jobs go the way they go in a worker: pulled, run by the tasks of this queue (or `handler`), and acknowledged or
        failed, in `queues` (None: all). Where the handle's clock can be moved (`pyqueue.testing.FakeClock`), it is
        moved on to each delay and backoff, so that delayed jobs and retries run too; not with `moves_clock=False`.
        `raises`: the first error of a run that counts as failed is raised, once it is stored.
        Async tasks run on an event loop of their own; inside of one, await `adrain`. Timeouts are not watched.

        Raises:
            StateError: 10,000 jobs were run, and there is no end to be seen.
        """
        return self._drain(queues, handler, moves_clock, raises).run()

    async def adrain(
        self,
        queues: str | Sequence[str] | None = None,
        handler: Callable[[Job], Any] | None = None,
        *,
        moves_clock: bool = True,
        raises: bool = False,
    ) -> DrainReport:
        """`drain` for event loops: async tasks run on this one, others on threads, one at a time."""
        return await self._drain(queues, handler, moves_clock, raises).arun()

    def _drain(
        self,
        queues: str | Sequence[str] | None,
        handler: Callable[[Job], Any] | None,
        moves_clock: bool,
        raises: bool,
    ) -> Drain:
        from pyqueue.core.worker.drain import Drain, MovableClock, OneForAll

        def names() -> Sequence[str]:
            if queues is not None:
                return (queues,) if isinstance(queues, str) else queues
            return [info.name for info in self._runtime.read(overview)]

        clock = self._clock
        return Drain(
            self,
            self._task_handler() if handler is None else OneForAll(self._surrounded(handler)),
            names=names,
            next_moment_us=lambda known: self._runtime.read(lambda tx: waiting.next_moment_us(tx, known)),
            clock=clock if moves_clock and isinstance(clock, MovableClock) else None,
            raises=raises,
        )

    def pull_until(
        self,
        is_over: Callable[[], bool],
        queues: Sequence[str],
        /,
        *,
        count: int,
        wait_ms: float,
        lease_ms: int,
        worker_id: str,
        looks_first: bool,
    ) -> list[Job]:
        """`pull` whose wait also ends when `is_over()` is true after a `wake_pulls()`. For workers.

        `looks_first`: there is probably nothing, and to find that out need not keep others from writing.
        """
        operation = Pull(tuple(queues), count, lease_ms, worker_id)
        jobs = [] if looks_first else self._runtime.write(operation)
        return jobs or waiting.pull(self._runtime, operation, wait_ms, is_over)

    def complete(self, items: Sequence[tuple[Job, str | None]], /) -> Sequence[PyQueueError | None]:
        """`ack_many` with results that are JSON already: None or the error for each, in order. For workers."""
        return self._runtime.write(Ack(tuple((job.key, job.lease, result_json) for job, result_json in items)))

    def time_out(self, job: Job, /) -> FailResult:
        """Ends a run whose `timeout_ms` is over, as housekeeping would. For workers. Raises what `fail` raises."""
        return self._runtime.write(TimeOut(ref_of(job)))

    def beat(
        self, jobs: Sequence[Job], /, *, lease_ms: int, presence: Presence | None
    ) -> list[HeartbeatResult | PyQueueError]:
        """`heartbeat_many`, in one transaction with what a worker says of itself. For workers."""
        return self._runtime.write(Beat(tuple(map(ref_of, jobs)), lease_ms, presence))

    def leave(self, worker_id: str, /) -> None:
        """Says that a worker has ended. For workers."""
        self._runtime.write(Leave(worker_id))

    def wake_pulls(self) -> None:
        """Makes every waiting pull of this handle look again."""
        self._runtime.wakeups.notify_all()
