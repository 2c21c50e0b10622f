"""Waiting: for jobs to pull, and for a job to finish. An idle wait reads, and never writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pyqueue.core.engine.allowance import next_pull_us
from pyqueue.core.engine.intervene import require_job
from pyqueue.core.engine.pull import Pull
from pyqueue.core.errors import JobCancelled, JobFailed, WaitTimeout
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import EventPage, Job
from pyqueue.core.states import JobState
from pyqueue.core.store import claim
from pyqueue.core.store.limits import HOLDS_PULLS
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.store.wakeup import EVENTS_TOPIC, Waiter, job_topic

if TYPE_CHECKING:
    import asyncio  # At run time where an event loop is at work, and so has imported it.

R = TypeVar("R")

_FOREVER = float("inf")
# threading and asyncio refuse to wait for infinity; an hour later we look once more.
_LONGEST_SECONDS = 3_600.0


def pull(runtime: Runtime, operation: Pull, wait_ms: float, is_over: Callable[[], bool] = lambda: False) -> list[Job]:
    """Waits up to `wait_ms` for jobs and takes them; an empty list if none came, or the wait `is_over`.

    `is_over` is looked at whenever the wait is woken, if only by `Wakeups.notify_all`.
    """
    deadline = time.monotonic() + wait_ms / 1_000
    while operation.count and time.monotonic() < deadline:
        asleep = threading.Lock()  # A bare lock wakes sooner than an Event does.
        asleep.acquire()
        waiter = Waiter(operation.queues, asleep.release)
        runtime.wakeups.add(waiter)
        try:
            if is_over():
                return []
            seconds = runtime.read(lambda tx: _seconds_to_wait(tx, operation))
            if seconds > 0:
                asleep.acquire(timeout=_bounded(seconds, deadline))
        finally:
            runtime.wakeups.remove(waiter)
        jobs = runtime.write(operation) if _is_worth_a_try(waiter, seconds, deadline) else []
        if jobs:
            return jobs
    return []


async def apull(runtime: Runtime, operation: Pull, wait_ms: int) -> list[Job]:
    """`pull` for event loops."""
    import asyncio

    deadline = time.monotonic() + wait_ms / 1_000
    while operation.count and time.monotonic() < deadline:
        woken = asyncio.Event()
        waiter = Waiter(operation.queues, setter(woken))
        runtime.wakeups.add(waiter)
        try:
            try:
                seconds = await runtime.aread(lambda tx: _seconds_to_wait(tx, operation))
                if seconds > 0:
                    await wait(woken, _bounded(seconds, deadline))
            finally:
                runtime.wakeups.remove(waiter)
            jobs = await runtime.awrite(operation) if _is_worth_a_try(waiter, seconds, deadline) else []
        except asyncio.CancelledError:
            if waiter.is_woken:  # The job it was woken for must not lie there while others sleep.
                runtime.wakeups.notify(dict.fromkeys(operation.queues, 1))
            raise
        if jobs:
            return jobs
    return []


def until(
    runtime: Runtime,
    topics: Sequence[str],
    read: Callable[[Transaction], R],
    is_enough: Callable[[R], bool],
    seconds: float = _FOREVER,
) -> R:
    """What `read` gives once that is enough, looked at when there may be news of a topic; as it is after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        woken = threading.Event()
        waiter = Waiter(topics, woken.set)
        runtime.wakeups.add(waiter)
        try:
            found = runtime.read(read)
            if is_enough(found) or time.monotonic() >= deadline:
                return found
            woken.wait(_bounded(_FOREVER, deadline))
        finally:
            runtime.wakeups.remove(waiter)


async def auntil(
    runtime: Runtime,
    topics: Sequence[str],
    read: Callable[[Transaction], R],
    is_enough: Callable[[R], bool],
    seconds: float = _FOREVER,
) -> R:
    """`until` for event loops."""
    import asyncio

    deadline = time.monotonic() + seconds
    while True:
        woken = asyncio.Event()
        waiter = Waiter(topics, setter(woken))
        runtime.wakeups.add(waiter)
        try:
            found = await runtime.aread(read)
            if is_enough(found) or time.monotonic() >= deadline:
                return found
            await wait(woken, _bounded(_FOREVER, deadline))
        finally:
            runtime.wakeups.remove(waiter)


def events(runtime: Runtime, read: Callable[[Transaction], EventPage], wait_ms: float) -> EventPage:
    """Waits up to `wait_ms` for the page that `read` gives to hold something; gives it as it is then."""
    return until(runtime, (EVENTS_TOPIC,), read, _holds_something, wait_ms / 1_000)


async def aevents(runtime: Runtime, read: Callable[[Transaction], EventPage], wait_ms: float) -> EventPage:
    """`events` for event loops."""
    return await auntil(runtime, (EVENTS_TOPIC,), read, _holds_something, wait_ms / 1_000)


def _holds_something(page: EventPage) -> bool:
    return bool(page.changes or page.has_gap)


def wait_for(runtime: Runtime, job_id: str, timeout: float | None) -> Any:
    """Waits until the job has finished; gives its result, or raises what it came to instead."""
    return _result_of(ended(runtime, job_id, _FOREVER if timeout is None else timeout))


async def await_for(runtime: Runtime, job_id: str, timeout: float | None) -> Any:
    """`wait_for` for event loops."""
    return _result_of(await aended(runtime, job_id, _FOREVER if timeout is None else timeout))


def ended(runtime: Runtime, job_id: str, seconds: float) -> Job:
    """Waits up to `seconds` for the job to finish; gives it as it is then."""
    topics = (job_topic(runtime.key_of(job_id)),)
    return until(runtime, topics, lambda tx: require_job(tx, job_id), _is_over, seconds)


async def aended(runtime: Runtime, job_id: str, seconds: float) -> Job:
    """`ended` for event loops."""
    topics = (job_topic(runtime.key_of(job_id)),)
    return await auntil(runtime, topics, lambda tx: require_job(tx, job_id), _is_over, seconds)


def _is_over(job: Job) -> bool:
    return job.state.is_terminal


def _seconds_to_wait(tx: Transaction, operation: Pull) -> float:
    """0 when there may be something to take, else the time until the next delay ends."""
    open_queues = [queue for queue in operation.queues if not tx.queue(queue).pulls_paused]
    limited = [queue for queue in open_queues if tx.queue(queue).limits & HOLDS_PULLS]
    is_ready, due_us = claim.look(tx, [queue for queue in open_queues if queue not in limited])
    if is_ready:
        return 0.0
    moments = [due_us, *(next_pull_us(tx, queue) for queue in limited)]
    return min(
        (max(0.0, (moment - tx.now_us) / 1_000_000) for moment in moments if moment is not None), default=_FOREVER
    )


def next_moment_us(tx: Transaction, queues: Sequence[str]) -> int | None:
    """When something can be pulled from queues of which nothing can be now: a delay ends, or a limit allows it."""
    limited = [queue for queue in queues if tx.queue(queue).limits & HOLDS_PULLS and claim.look(tx, [queue])[0]]
    moments = [claim.next_delay_us(tx, queues), *(next_pull_us(tx, queue) for queue in limited)]
    return min((moment for moment in moments if moment is not None), default=None)


def _is_worth_a_try(waiter: Waiter, seconds: float, deadline: float) -> bool:
    """Woken, or something was there or has come due; not when merely the time was up."""
    return waiter.is_woken or seconds == 0 or time.monotonic() < deadline


def _bounded(seconds: float, deadline: float) -> float:
    return min(seconds, max(0.0, deadline - time.monotonic()), _LONGEST_SECONDS)


def _result_of(job: Job) -> Any:
    if job.state is JobState.COMPLETED:
        return job.result
    if job.state is JobState.DLQ:
        raise JobFailed(
            f"job {job.id} has used up its attempts ({job.attempt} of {job.max_attempts}): {job.last_error}"
        )
    if not job.state.is_terminal:
        raise WaitTimeout(
            f"job {job.id} is {job.state} and has not finished in time; it goes on. Wait again, or longer."
        )
    raise JobCancelled(f"job {job.id} was cancelled{f': {job.last_error}' if job.last_error else ''}.")


def setter(event: asyncio.Event) -> Callable[[], None]:
    """A function that sets the event from any thread, also when its loop is gone."""
    import asyncio

    loop = asyncio.get_running_loop()

    def set_event() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(event.set)

    return set_event


async def wait(event: asyncio.Event, seconds: float) -> None:
    import asyncio

    # Not wait_for: Python 3.11's swallows a cancellation that arrives together with the event.
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
