"""What a job waits for, and what it says while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

from pyqueue.core import limits
from pyqueue.core.engine.explain import explain
from pyqueue.core.engine.intervene import require_job
from pyqueue.core.explanation import Explanation
from pyqueue.core.handle import waiting
from pyqueue.core.handle.refs import JobOrId, job_id
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import LogEntry, LogPage
from pyqueue.core.store import jobs
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.store.wakeup import job_topic, log_topic
from pyqueue.core.validate import integer


class Explaining:
    """The part of a handle that answers questions about one job."""

    _runtime: Runtime

    def explain(self, job: JobOrId) -> Explanation:
        """Why a job is not running, in a sentence and as facts; or since when it runs, or how it ended.

        Only workers that introduce themselves are known (`run_worker`, `pyqueue worker`), not who pulls by hand.

        Raises:
            JobNotFound.
        """
        return self._runtime.read(lambda tx: explain(tx, job_id(job)))

    async def aexplain(self, job: JobOrId) -> Explanation:
        """`explain` for event loops."""
        return await self._runtime.aread(lambda tx: explain(tx, job_id(job)))

    def logs(self, job: JobOrId, *, after: int = 0) -> list[LogEntry]:
        """The messages of a job with a `number` above `after`, oldest first; the newest 1,000 are kept.

        Raises:
            JobNotFound.
        """
        integer(after, "after", 0, 2**63 - 1)
        return self._runtime.read(lambda tx: _entries(tx, job_id(job), after))

    async def alogs(self, job: JobOrId, *, after: int = 0) -> list[LogEntry]:
        """`logs` for event loops."""
        integer(after, "after", 0, 2**63 - 1)
        return await self._runtime.aread(lambda tx: _entries(tx, job_id(job), after))

    def log_page(self, job: JobOrId, *, after: int = 0, wait_ms: int = 0) -> LogPage:
        """What `logs` gives, and whether nothing will follow. Waits up to `wait_ms` for a message or the job's end.

        Raises:
            JobNotFound. One that is removed while we wait has just ended.
        """
        key, seconds = self._runtime.read(partial(_checked, job=job, after=after, wait_ms=wait_ms))
        return waiting.until(self._runtime, _topics(key), partial(_news, key=key, after=after), _is_worth, seconds)

    async def alog_page(self, job: JobOrId, *, after: int = 0, wait_ms: int = 0) -> LogPage:
        """`log_page` for event loops."""
        key, seconds = await self._runtime.aread(partial(_checked, job=job, after=after, wait_ms=wait_ms))
        read = partial(_news, key=key, after=after)
        return await waiting.auntil(self._runtime, _topics(key), read, _is_worth, seconds)

    def follow_logs(self, job: JobOrId, *, after: int = 0) -> Iterator[LogEntry]:
        """The messages of a job, those there are and then each as it is written, until the job has ended.

        Raises:
            JobNotFound: there is no such job. One that is removed meanwhile just ends.
        """
        integer(after, "after", 0, 2**63 - 1)
        key = self._runtime.read(lambda tx: require_job(tx, job_id(job))).key
        while True:
            read = partial(_news, key=key, after=after)
            page = waiting.until(self._runtime, _topics(key), read, _is_worth)
            yield from page.entries
            if page.is_over:
                return
            after = page.entries[-1].number

    async def afollow_logs(self, job: JobOrId, *, after: int = 0) -> AsyncIterator[LogEntry]:
        """`follow_logs` for event loops."""
        integer(after, "after", 0, 2**63 - 1)
        key = (await self._runtime.aread(lambda tx: require_job(tx, job_id(job)))).key
        while True:
            read = partial(_news, key=key, after=after)
            page = await waiting.auntil(self._runtime, _topics(key), read, _is_worth)
            for entry in page.entries:
                yield entry
            if page.is_over:
                return
            after = page.entries[-1].number


def _entries(tx: Transaction, wanted: str, after: int) -> list[LogEntry]:
    return jobs.logs_after(tx, require_job(tx, wanted).key, after, limits.LOGS_MAX)


def _checked(tx: Transaction, *, job: JobOrId, after: int, wait_ms: int) -> tuple[int, float]:
    """The key of a job, and how many seconds to wait for what it says."""
    integer(after, "after", 0, 2**63 - 1)
    seconds = integer(wait_ms, "wait_ms", 0, limits.WAIT_MS_MAX) / 1_000
    return require_job(tx, job_id(job)).key, seconds


def _news(tx: Transaction, *, key: int, after: int) -> LogPage:
    entries = jobs.logs_after(tx, key, after, limits.LOGS_MAX)
    job = jobs.get(tx, key)
    return LogPage(entries, job is None or job.state.is_terminal)


def _is_worth(page: LogPage) -> bool:
    return bool(page.entries or page.is_over)


def _topics(key: int) -> tuple[str, str]:
    return log_topic(key), job_topic(key)
