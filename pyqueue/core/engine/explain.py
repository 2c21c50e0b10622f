"""Why is it not running? One look at everything that could hold a job, in the order in which a pull would meet it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pyqueue.core.clock import to_datetime
from pyqueue.core.engine import workers
from pyqueue.core.engine.allowance import Budget, Budgets
from pyqueue.core.engine.intervene import require_job
from pyqueue.core.explanation import Explanation, Reason
from pyqueue.core.job import Job
from pyqueue.core.states import STATES, JobState
from pyqueue.core.store import breaker, limits, line
from pyqueue.core.store.transaction import Transaction

# More than these are counted and named as "and more": an answer is for a person to read.
_SHOWN: Final = 10
_LOOK_AHEAD: Final = 10_000

_Found = tuple[Reason, str, dict[str, Any]]


def explain(tx: Transaction, job_id: str) -> Explanation:
    """Says what a job waits for.

    Raises:
        JobNotFound.
    """
    job = require_job(tx, job_id)
    reason, sentence, facts = _BY_STATE[job.state](tx, job)
    return Explanation(job.id, job.state, reason, sentence, {"queue": job.queue, "name": job.name, **facts})


def _completed(tx: Transaction, job: Job) -> _Found:
    at = _text(job.completed_us)
    return Reason.COMPLETED, f"It is done: completed at {at}.", {"completed_at": at, "worker_id": job.worker_id}


def _dead(tx: Transaction, job: Job) -> _Found:
    error = _last_line(job.last_error)
    attempts = f"{job.attempt} of {job.max_attempts} attempts"
    facts = {"attempt": job.attempt, "max_attempts": job.max_attempts, "last_error": job.last_error}
    return Reason.DEAD, f"It has failed for good after {attempts}: {error}. Retry it to send it round again.", facts


def _cancelled(tx: Transaction, job: Job) -> _Found:
    why = f" ({_last_line(job.last_error)})" if job.last_error else ""
    sentence = f"It was cancelled at {_text(job.updated_us)}{why}. Retry it to send it round again."
    return Reason.CANCELLED, sentence, {"cancelled_at": _text(job.updated_us), "last_error": job.last_error}


def _running(tx: Transaction, job: Job) -> _Found:
    facts = {
        "worker_id": job.worker_id,
        "started_at": _text(job.started_us),
        "lease_until": _text(job.lease_us),
        "progress": job.progress,
        "cancel_requested": job.cancel_requested,
    }
    sentence = f"It is running since {facts['started_at']}, by worker {job.worker_id or 'unnamed'}"
    asked = ", and was asked to stop" if job.cancel_requested else ""
    return Reason.RUNNING, f"{sentence}{asked}; its lease ends at {facts['lease_until']}.", facts


def _blocked(tx: Transaction, job: Job) -> _Found:
    parents = line.unfinished_parents(tx, job.key, _SHOWN + 1)
    named = [{"id": tx.text_of(key), "state": STATES[state].value} for key, state in parents[:_SHOWN]]
    listed = ", ".join(f"{each['id']} ({each['state']})" for each in named)
    more = f" and more, {job.blocked_by} in all" if len(parents) > _SHOWN else ""
    sentence = f"It waits for {listed}{more}." if named else "It waits until the batch that it belongs to is complete."
    return Reason.BLOCKED, sentence, {"waits_for": named, "blocked_by": job.blocked_by}


def _delayed(tx: Transaction, job: Job) -> _Found:
    moment = _text(job.run_us)
    tries = f", for attempt {job.attempt + 1} of {job.max_attempts}" if job.attempt else ""
    return Reason.DELAYED, f"It is not due before {moment}{tries}.", {"delay_until": moment, "attempt": job.attempt}


def _waiting(tx: Transaction, job: Job) -> _Found:
    for find in (_paused, _behind_breaker, _limited, _without_worker):
        found = find(tx, job)
        if found is not None:
            return found
    ahead = line.ahead_of(tx, job.queue, job.key, _LOOK_AHEAD)
    if ahead == 0:
        return Reason.NEXT, f"It is the next job of queue {job.queue} to be pulled.", {"ahead": 0}
    shown = f"{_LOOK_AHEAD:,} or more" if ahead is None else f"{ahead:,}"
    jobs = "job goes" if ahead == 1 else "jobs go"
    sentence = f"It is waiting its turn: {shown} {jobs} before it in queue {job.queue}."
    return Reason.BEHIND_OTHERS, sentence, {"ahead": ahead, "ahead_max": _LOOK_AHEAD}


_BY_STATE: Final[dict[JobState, Callable[[Transaction, Job], _Found]]] = {
    JobState.WAITING: _waiting,
    JobState.DELAYED: _delayed,
    JobState.BLOCKED: _blocked,
    JobState.ACTIVE: _running,
    JobState.COMPLETED: _completed,
    JobState.DLQ: _dead,
    JobState.CANCELLED: _cancelled,
}


def _paused(tx: Transaction, job: Job) -> _Found | None:
    if not tx.queue(job.queue).pulls_paused:
        return None
    return Reason.QUEUE_PAUSED, f"Queue {job.queue} is paused and hands out no jobs until it is resumed.", {}


def _behind_breaker(tx: Transaction, job: Job) -> _Found | None:
    found = breaker.of_queue(tx, job.queue)
    if found is None or found.open_until_us is None:
        return None
    until = None if found.open_until_us >= breaker.NEVER_US else _text(found.open_until_us)
    facts = {"failures": found.failures, "open_until": until}
    why = f"The breaker of queue {job.queue} has opened after {found.failures} failures in a row"
    if tx.now_us < found.open_until_us:
        return Reason.BREAKER_OPEN, f"{why}, until {until or 'the queue is resumed'}.", facts
    tried = breaker.trial(tx, job.queue, found.open_until_us)
    if tried is None:
        return None
    sentence = f"{why}; job {tx.text_of(tried)} tries whether it works again."
    return Reason.BREAKER_OPEN, sentence, {**facts, "trial": tx.text_of(tried)}


def _limited(tx: Transaction, job: Job) -> _Found | None:
    if not tx.queue(job.queue).limits & limits.HOLDS_PULLS:
        return None
    budgets = Budgets(tx, limits.of_queue(tx, job.queue), job.queue)
    return _spent(tx, job, budgets.of_queue, None) or _spent(
        tx, job, budgets.of_key(job.limit_key or ""), job.limit_key
    )


def _spent(tx: Transaction, job: Job, budget: Budget, limit_key: str | None) -> _Found | None:
    """What a limit says that allows no more: held by whom, or until when."""
    if budget.left:
        return None
    what = f"queue {job.queue}" if limit_key is None else f"limit key {limit_key} in queue {job.queue}"
    facts = {"limit_key": limit_key, "concurrency": budget.concurrency, "in_use": budget.taken}
    if budget.lacks_slots:
        holders = [tx.text_of(key) for key in limits.holders(tx, job.queue, limit_key, _SHOWN)]
        more = " and others" if budget.taken > len(holders) else ""
        by = f" by {', '.join(holders)}{more}" if holders else ""
        sentence = f"The limit of {what} holds it: {budget.taken} of {budget.concurrency} in use{by}."
        reason = Reason.QUEUE_LIMIT if limit_key is None else Reason.KEY_LIMIT
        return reason, sentence, {**facts, "held_by": holders}
    until = _text(budget.due_us)
    reason = Reason.QUEUE_RATE if limit_key is None else Reason.KEY_RATE
    return reason, f"The rate of {what} is used up until {until}.", {**facts, "until": until}


def _without_worker(tx: Transaction, job: Job) -> _Found | None:
    pulling = [worker for worker in workers.living(tx) if job.queue in worker.queues]
    if not pulling:
        sentence = f"No worker was heard of that pulls from queue {job.queue}. Start one."
        return Reason.NO_WORKER, sentence, {}
    if all(worker.tasks and job.name not in worker.tasks for worker in pulling):
        known = sorted({task for worker in pulling for task in worker.tasks})
        sentence = f"None of the {len(pulling)} workers of queue {job.queue} knows a task named {job.name}."
        return Reason.NO_TASK, sentence, {"workers": [worker.id for worker in pulling], "tasks": known[:_SHOWN]}
    return None


def _text(us: int | None) -> str | None:
    """A moment as facts and sentences show it."""
    return None if us is None else to_datetime(us).isoformat().replace("+00:00", "Z")


def _last_line(error: str | None) -> str:
    lines = (error or "no error was given").strip().splitlines()
    return lines[-1][:200]
