"""Committing outcomes: in batches, and through database trouble."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, Protocol

from pyqueue.core.errors import PyQueueError, StateError, StorageError
from pyqueue.core.job import Attempt, FailResult, Job
from pyqueue.core.worker import faults
from pyqueue.core.worker.faults import OnFault
from pyqueue.core.worker.hand import Hand
from pyqueue.core.worker.outcome import Crashed, Done, Failed, Outcome, Snoozed, Stopped, TimedOut
from pyqueue.core.worker.timeouts import seconds_left

log = logging.getLogger(__name__)

_BATCH_MAX: Final = 400
# While the database is away, an outcome is tried again after these waits; the last one repeats.
_RETRY_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# A job that has killed so many processes is not given to another, however many attempts it has left.
CRASHES_MAX: Final = 3
_CRASHED: Final = "the process that ran the job died: "


class Finisher(Protocol):
    """The calls of a queue that end runs."""

    def complete(self, items: Sequence[tuple[Job, str | None]], /) -> Sequence[PyQueueError | None]: ...

    def fail(
        self,
        job: Job,
        error: str | BaseException,
        /,
        *,
        retry: bool = True,
        delay_ms: int | None = None,
        discard: bool = False,
    ) -> FailResult: ...

    def time_out(self, job: Job, /) -> FailResult: ...

    def release(self, job: Job, /, *, delay_ms: int = 0) -> None: ...

    def attempts(self, job: Job, /) -> list[Attempt]: ...


class Tally:
    """What became of the jobs of a worker."""

    def __init__(self) -> None:
        self.completed = 0
        self.failed = 0
        self.released = 0
        self.lost = 0


class _Success(NamedTuple):
    outcome: Outcome
    result_json: str | None


class Finishing:
    """A thread that takes outcomes as they come and commits all there are as one batch."""

    def __init__(self, queue: Finisher, hand: Hand, tally: Tally, on_fault: OnFault) -> None:
        self._queue, self._hand, self.tally = queue, hand, tally
        self._outcomes: SimpleQueue[Outcome | None] = SimpleQueue()
        self._abandon = threading.Event()
        self._thread = faults.thread("pyqueue-finish", self._serve, on_fault)

    def start(self) -> None:
        self._thread.start()

    def put(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)

    def stop(self, *, is_at_once: bool) -> None:
        """Commits what there is, then ends; if `is_at_once`, without trying again."""
        if is_at_once:
            self._abandon.set()
        self._outcomes.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (batch := self._next_batch()) is not None:
            done = [_Success(outcome, outcome.end.result_json) for outcome in batch if isinstance(outcome.end, Done)]
            if done:
                self._persist(lambda done=done: self._complete(done))  # type: ignore[misc]
            if len(done) < len(batch):
                for outcome in batch:
                    if not isinstance(outcome.end, Done):
                        self._persist(lambda outcome=outcome: self._end_unfinished(outcome))  # type: ignore[misc]
            self._hand.settle([outcome.job for outcome in batch])

    def _next_batch(self) -> list[Outcome] | None:
        first = self._outcomes.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < _BATCH_MAX:
            try:
                outcome = self._outcomes.get_nowait()
            except Empty:
                break
            if outcome is None:
                self._outcomes.put(None)
                break
            batch.append(outcome)
        return batch

    def _persist(self, action: Callable[[], None]) -> None:
        """Tries until the database takes it; its answer, good or bad, is final."""
        tries = 0
        while True:
            try:
                return action()
            except StorageError as error:
                log.error("cannot store the outcome of jobs; trying again", extra={"error": str(error)})
                if self._abandon.wait(_RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)]):
                    return None  # The leases will lapse, and the jobs run again elsewhere.
                tries += 1

    def _complete(self, done: Sequence[_Success]) -> None:
        errors = self._queue.complete([(outcome.job, result_json) for outcome, result_json in done])
        is_told = log.isEnabledFor(logging.INFO)
        for (outcome, _), error in zip(done, errors, strict=True):
            if error is not None:
                self._lost(outcome, error)
                continue
            self.tally.completed += 1
            if is_told:
                log.info("job completed", extra=_facts(outcome))

    def _end_unfinished(self, outcome: Outcome) -> None:
        try:
            match outcome.end:
                case Failed(error, retry, delay_ms, discard):
                    failed = self._queue.fail(outcome.job, error, retry=retry, delay_ms=delay_ms, discard=discard)
                    self._failed(outcome, failed, "job failed")
                case Snoozed(delay_ms):
                    self._queue.release(outcome.job, delay_ms=delay_ms)
                    self.tally.released += 1
                    log.info("job put off", extra=_facts(outcome) | {"delay_ms": delay_ms})
                case Stopped():
                    self._queue.release(outcome.job)
                    self.tally.released += 1
                case TimedOut():
                    self._time_out(outcome)
                case Crashed(how):
                    self._failed(outcome, self._fail_crashed(outcome.job, how), "job killed its process")
        except StateError as error:
            self._lost(outcome, error)

    def _failed(self, outcome: Outcome, failed: FailResult, what: str) -> None:
        self.tally.failed += 1
        level = logging.INFO if failed.will_retry else logging.WARNING
        log.log(level, what, extra=_facts(outcome) | {"state": failed.state, "will_retry": failed.will_retry})

    def _time_out(self, outcome: Outcome) -> None:
        try:
            self._failed(outcome, self._queue.time_out(outcome.job), "job timed out")
        except StateError as error:
            self._lost(outcome, error)

    def _fail_crashed(self, job: Job, how: str) -> FailResult:
        """A failed attempt; the last one, if the job has done so before and before that."""
        crashes = 1 + sum(attempt.error.startswith(_CRASHED) for attempt in self._queue.attempts(job))
        if crashes < CRASHES_MAX:
            return self._queue.fail(job, _CRASHED + how)
        return self._queue.fail(job, f"{_CRASHED}{how}; it has killed {crashes} and gets no other", retry=False)

    def _lost(self, outcome: Outcome, error: PyQueueError) -> None:
        if seconds_left(outcome.job) <= 0:
            # Housekeeping, here or elsewhere, has seen it first; that is what was to be done.
            self.tally.failed += 1
            log.info("job timed out", extra=_facts(outcome))
            return
        self.tally.lost += 1
        log.warning("the outcome of a job came too late", extra=_facts(outcome) | {"error": str(error)})


def _facts(outcome: Outcome) -> dict[str, object]:
    job = outcome.job
    return {
        "job_id": job.id,
        "queue": job.queue,
        "job_name": job.name,
        "attempt": job.attempt + 1,
        "duration_ms": round(outcome.seconds * 1_000, 3),
    }
