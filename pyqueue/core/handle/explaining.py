"""What a job waits for, and what it says while it runs."""

from __future__ import annotations

import threading
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
from pyqueue.core.store.wakeup import Waiter, job_topic, log_topic
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
        page = self._runtime.read(partial(_news, key=key, after=after))
        if page.entries or page.is_over or not seconds:
            return page
        woken = threading.Event()
        waiter = Waiter((log_topic(key), job_topic(key)), woken.set)
        self._runtime.wakeups.add(waiter)
        try:
            page = self._runtime.read(partial(_news, key=key, after=after))  # What came before we listened.
            if not page.entries and not page.is_over:
                woken.wait(seconds)
        finally:
            self._runtime.wakeups.remove(waiter)
        return self._runtime.read(partial(_news, key=key, after=after))

    async def alog_page(self, job: JobOrId, *, after: int = 0, wait_ms: int = 0) -> LogPage:
        """`log_page` for event loops."""
        import asyncio

        key, seconds = await self._runtime.aread(partial(_checked, job=job, after=after, wait_ms=wait_ms))
        page = await self._runtime.aread(partial(_news, key=key, after=after))
        if page.entries or page.is_over or not seconds:
            return page
        woken = asyncio.Event()
        waiter = Waiter((log_topic(key), job_topic(key)), waiting.setter(woken))
        self._runtime.wakeups.add(waiter)
        try:
            page = await self._runtime.aread(partial(_news, key=key, after=after))  # As in `log_page`.
            if not page.entries and not page.is_over:
                await waiting.wait(woken, seconds)
        finally:
            self._runtime.wakeups.remove(waiter)
        return await self._runtime.aread(partial(_news, key=key, after=after))

    def follow_logs(self, job: JobOrId, *, after: int = 0) -> Iterator[LogEntry]:
        """The messages of a job, those there are and then each as it is written, until the job has ended.

        Raises:
            JobNotFound: there is no such job. One that is removed meanwhile just ends.
        """
        integer(after, "after", 0, 2**63 - 1)
        key = self._runtime.read(lambda tx: require_job(tx, job_id(job))).key
        while True:
            woken = threading.Event()
            waiter = Waiter((log_topic(key), job_topic(key)), woken.set)
            self._runtime.wakeups.add(waiter)
            try:
                entries, is_over = self._runtime.read(partial(_news, key=key, after=after))
                if not entries and not is_over:
                    woken.wait(waiting.LONGEST_SECONDS)
            finally:
                self._runtime.wakeups.remove(waiter)
            yield from entries
            if is_over:
                return
            after = entries[-1].number if entries else after

    async def afollow_logs(self, job: JobOrId, *, after: int = 0) -> AsyncIterator[LogEntry]:
        """`follow_logs` for event loops."""
        import asyncio

        integer(after, "after", 0, 2**63 - 1)
        key = (await self._runtime.aread(lambda tx: require_job(tx, job_id(job)))).key
        while True:
            woken = asyncio.Event()
            waiter = Waiter((log_topic(key), job_topic(key)), waiting.setter(woken))
            self._runtime.wakeups.add(waiter)
            try:
                entries, is_over = await self._runtime.aread(partial(_news, key=key, after=after))
                if not entries and not is_over:
                    await waiting.wait(woken, waiting.LONGEST_SECONDS)
            finally:
                self._runtime.wakeups.remove(waiter)
            for entry in entries:
                yield entry
            if is_over:
                return
            after = entries[-1].number if entries else after


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
