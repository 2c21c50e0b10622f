"""Committing outcomes: in batches, and through database trouble."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from pyqueue.core.errors import PyQueueError, StateError, StorageError, ValidationError
from pyqueue.core.handle.refs import result_text
from pyqueue.core.job import AckResult, FailResult, Job
from pyqueue.core.verdicts import Snooze, Verdict
from pyqueue.core.worker.hand import Hand
from pyqueue.core.worker.run import Outcome

log = logging.getLogger(__name__)

_BATCH_MAX: Final = 200
# While the database is away, an outcome is tried again after these waits; the last one repeats.
_RETRY_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Finisher(Protocol):
    """The calls of a queue that end runs."""

    def ack_many(self, items: list[tuple[Job, object]], /) -> list[AckResult]: ...

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

    def release(self, job: Job, /, *, delay_ms: int = 0) -> None: ...


class Tally:
    """What became of the jobs of a worker."""

    def __init__(self) -> None:
        self.completed = 0
        self.failed = 0
        self.released = 0
        self.lost = 0


class Finishing:
    """A thread that takes outcomes as they come and commits all there are as one batch."""

    def __init__(self, queue: Finisher, hand: Hand, tally: Tally) -> None:
        self._queue, self._hand, self.tally = queue, hand, tally
        self._outcomes: SimpleQueue[Outcome | None] = SimpleQueue()
        self._abandon = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="pyqueue-finish", daemon=True)
        self._thread.start()

    def put(self, outcome: Outcome) -> None:
        self._hand.finish(outcome.job)
        self._outcomes.put(outcome)

    def stop(self, *, is_at_once: bool) -> None:
        """Commits what there is, then ends; if `is_at_once`, without trying again."""
        if is_at_once:
            self._abandon.set()
        self._outcomes.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (batch := self._next_batch()) is not None:
            acks = [outcome for outcome in batch if outcome.error is None]
            acks = [outcome for outcome in acks if self._has_a_storable_result(outcome)]
            if acks:
                self._persist(lambda acks=acks: self._ack(acks))  # type: ignore[misc]
            for outcome in batch:
                if outcome.error is not None:
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

    def _ack(self, outcomes: Sequence[Outcome]) -> None:
        results = self._queue.ack_many([(outcome.job, outcome.result) for outcome in outcomes])
        for outcome, result in zip(outcomes, results, strict=True):
            if result.error is None:
                self.tally.completed += 1
                log.info("job completed", extra=_facts(outcome))
            else:
                self._lost(outcome, result.error)

    def _end_unfinished(self, outcome: Outcome) -> None:
        try:
            if outcome.is_cancelled:
                self._queue.release(outcome.job)
                self.tally.released += 1
            elif isinstance(outcome.error, Snooze):
                self._queue.release(outcome.job, delay_ms=outcome.error.delay_ms)
                self.tally.released += 1
                log.info("job put off", extra=_facts(outcome) | {"delay_ms": outcome.error.delay_ms})
            elif outcome.error is not None:
                self._fail(outcome, outcome.error)
        except StateError as error:
            self._lost(outcome, error)

    def _fail(self, outcome: Outcome, error: BaseException) -> None:
        if isinstance(error, Verdict):
            failed = self._fail_by_verdict(outcome.job, error)
        else:
            failed = self._queue.fail(outcome.job, error)
        self.tally.failed += 1
        level = logging.INFO if failed.will_retry else logging.WARNING
        log.log(level, "job failed", extra=_facts(outcome) | {"state": failed.state, "will_retry": failed.will_retry})

    def _fail_by_verdict(self, job: Job, verdict: Verdict) -> FailResult:
        """As the handler has decided."""
        return self._queue.fail(job, verdict.told(), **verdict.fail_options())

    def _has_a_storable_result(self, outcome: Outcome) -> bool:
        """A result that is not JSON fails its job, not the batch."""
        try:
            result_text(outcome.result)
        except ValidationError as error:
            unstorable = outcome._replace(error=error)
            self._persist(lambda: self._end_unfinished(unstorable))
            return False
        return True

    def _lost(self, outcome: Outcome, error: PyQueueError) -> None:
        self.tally.lost += 1
        log.warning("the outcome of a job came too late", extra=_facts(outcome) | {"error": str(error)})


def _facts(outcome: Outcome) -> dict[str, object]:
    job = outcome.job
    return {
        "job_id": job.id,
        "queue": job.queue,
        "job_name": job.name,
        "attempt": job.attempt + 1,
        "seconds": round(outcome.seconds, 6),
    }
