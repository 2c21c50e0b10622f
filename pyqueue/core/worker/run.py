"""Running handlers: on threads, on an event loop, or in processes, as fits them or as was asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol, get_args, runtime_checkable

from pyqueue.core.errors import ConfigError
from pyqueue.core.job import Job
from pyqueue.core.validate import shown
from pyqueue.core.worker.outcome import Outcome

Handler = Callable[[Job], Any]
Mode = Literal["thread", "async", "process"]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)

Begin = Callable[[Job], bool]
Finish = Callable[[Outcome], None]


class Runner(Protocol):
    """Runs jobs: asks `begin` before each whether it may, and tells `end` after it how it went."""

    def start(self) -> None: ...

    def submit(self, jobs: list[Job]) -> None:
        """Runs the jobs as soon as there is a free place."""
        ...

    def cancel(self, job: Job) -> None:
        """Stops a run, if that can be done."""
        ...

    def abandon(self, job: Job) -> None:
        """Stops a run that is over for everybody else, and makes its place free, whatever the handler does."""
        ...

    def stop(self, *, is_at_once: bool) -> None:
        """Ends the runner; runs in progress are left behind if `is_at_once`."""
        ...


class SplitHandler(Protocol):
    """A handler that runs some jobs as a plain call and others as a coroutine."""

    def is_async(self, job: Job) -> bool: ...

    def run(self, job: Job) -> Any: ...

    async def arun(self, job: Job) -> Any: ...


@runtime_checkable
class EitherHandler(SplitHandler, Protocol):
    """A handler that a worker runs on threads for some jobs and on an event loop for others."""

    def modes(self) -> Sequence[Mode]:
        """Which of the two it has jobs for."""
        ...


def modes_of(handler: Handler | EitherHandler, mode: Mode | None) -> Sequence[Mode]:
    """How the handler is to be run: as was asked for, or as it was written.

    Raises:
        ConfigError: it cannot be run so.
    """
    if mode is not None and mode not in MODES:
        raise ConfigError(f"mode {shown(mode)}; expected one of: {', '.join(MODES)}; or none, to go by the handler.")
    if mode == "process":
        return ("process",)
    written = handler.modes() if isinstance(handler, EitherHandler) else (_mode_of(handler),)
    for each in written:
        if mode not in (None, each):
            kinds = {"thread": "a plain function", "async": "an async def"}
            raise ConfigError(
                f"mode {mode!r}, but there is {kinds[each]} to run, which goes with mode {each!r}. Leave the mode out "
                "to run each function as it was written."
            )
    return written


def is_coroutine_handler(handler: Handler) -> bool:
    """Whether it is an `async def`, or an object whose call is one."""
    call = handler if inspect.isfunction(handler) or inspect.ismethod(handler) else type(handler).__call__
    return inspect.iscoroutinefunction(call)


def _mode_of(handler: Handler) -> Mode:
    return "async" if is_coroutine_handler(handler) else "thread"


def runner_for(handler: Handler | EitherHandler, concurrency: int, begin: Begin, end: Finish) -> Runner:
    """The runner in this process that fits the handler."""
    if isinstance(handler, EitherHandler):
        return EitherRunner(handler, concurrency, begin, end)
    return _one_runner(handler, concurrency, begin, end, is_async=is_coroutine_handler(handler))


def _one_runner(handler: Handler, concurrency: int, begin: Begin, end: Finish, *, is_async: bool) -> Runner:
    if is_async:
        from pyqueue.core.worker.loop import LoopRunner  # asyncio takes 50 ms and 5 MB: only for who needs it.

        return LoopRunner(handler, concurrency, begin, end)
    from pyqueue.core.worker.threads import ThreadRunner

    return ThreadRunner(handler, concurrency, begin, end)


class EitherRunner:
    """Threads for plain functions and an event loop for coroutine functions, each made when first needed."""

    def __init__(self, handler: EitherHandler, concurrency: int, begin: Begin, end: Finish) -> None:
        self._handler, self._concurrency, self._begin, self._end = handler, concurrency, begin, end
        self._runners: dict[bool, Runner] = {}

    def start(self) -> None:
        """Begins with nothing: the first job of a kind makes its runner."""

    def submit(self, jobs: list[Job]) -> None:
        of_kind: dict[bool, list[Job]] = {}
        for job in jobs:
            of_kind.setdefault(self._handler.is_async(job), []).append(job)
        for is_async, its in of_kind.items():
            self._runner(is_async=is_async).submit(its)

    def cancel(self, job: Job) -> None:
        self._runner(is_async=self._handler.is_async(job)).cancel(job)

    def abandon(self, job: Job) -> None:
        self._runner(is_async=self._handler.is_async(job)).abandon(job)

    def stop(self, *, is_at_once: bool) -> None:
        for runner in self._runners.values():
            runner.stop(is_at_once=is_at_once)

    def _runner(self, *, is_async: bool) -> Runner:
        runner = self._runners.get(is_async)
        if runner is None:
            run = self._handler.arun if is_async else self._handler.run
            runner = _one_runner(run, self._concurrency, self._begin, self._end, is_async=is_async)
            runner.start()
            self._runners[is_async] = runner
        return runner
