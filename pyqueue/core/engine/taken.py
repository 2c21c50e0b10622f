"""What a pull has taken from one queue: the rows as they were found, and what the claim has made of them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pyqueue.core.job import Job
from pyqueue.core.shapes import fresh_job_texts
from pyqueue.core.states import ACTIVE
from pyqueue.core.store import claim
from pyqueue.core.store.claim import ReadyRow

_NOTHING_RARE: Final = (None,) * len(claim.RARE_COLUMNS)
_TIMEOUT: Final = claim.RARE_COLUMNS.index("timeout_ms")


class Taken(NamedTuple):
    """Jobs of one queue that were claimed in one statement; `rare` holds the columns that few of them use."""

    salt: int
    queue: str
    rows: list[ReadyRow]
    rare: dict[int, tuple[Any, ...]]
    now_us: int
    until_us: int
    worker_id: str | None

    @property
    def is_fresh(self) -> bool:
        """All are in their first run and use no option but of retries and priority: their rows say all of them."""
        return not self.rare and not any(row[8] for row in self.rows)

    @property
    def due_us(self) -> int:
        """When the first of the leases is over."""
        ends = [self._lease_us(rare[_TIMEOUT]) for rare in self.rare.values()]
        return min(ends, default=self.until_us)

    def jobs(self) -> list[Job]:
        """The jobs as the claim has left them, without reading them again."""
        jobs = []
        for key, name, priority, data, attempt, max_attempts, backoff, backoff_delay_ms, token, _rank, _ in self.rows:
            (timeout_ms, expires_us, unique_key, group_id, flow_id, custom_id, tags, metadata, extras, blocked_by,
             progress, last_error, limit_key) = self.rare.get(key, _NOTHING_RARE)  # fmt: skip
            jobs.append(Job(
                self.salt, key, self.queue, name, ACTIVE, priority, data, attempt, max_attempts, backoff,
                backoff_delay_ms, timeout_ms, None, expires_us, unique_key, group_id, flow_id, custom_id, tags,
                metadata, extras, blocked_by, token + 1, self._lease_us(timeout_ms), self.worker_id, None,
                self.now_us, None, None, self.now_us, progress, None, last_error, limit_key,
            ))  # fmt: skip
        return jobs

    def texts(self) -> list[str]:
        """The jobs as JSON objects, for those that are fresh. A Job for each of them costs as much as the claim."""
        return fresh_job_texts(
            self.rows, self.salt, self.queue, started_us=self.now_us, lease_us=self.until_us, worker_id=self.worker_id
        )

    def _lease_us(self, timeout_ms: int | None) -> int:
        return self.until_us if timeout_ms is None else min(self.until_us, self.now_us + timeout_ms * 1_000)
