"""Log records that say which job they belong to."""

from __future__ import annotations

import logging
from typing import Final

from pyqueue.core.current import current_job

_OUTSIDE: Final = "-"


class JobFilter(logging.Filter):
    """Gives every record `job_id`, `queue` and `task` of the job that it is logged in, whatever logs it; keeps all.

    Add it to a handler, not to a logger, whose filters the loggers below it do not pass:

        handler.addFilter(JobFilter())
        handler.setFormatter(logging.Formatter("%(message)s [%(queue)s/%(task)s %(job_id)s]"))

    Outside of jobs they are "-". A record that brings one of them as `extra` keeps its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the attributes."""
        job = current_job()
        facts = (_OUTSIDE, _OUTSIDE, _OUTSIDE) if job is None else (job.id, job.queue, job.name)
        for name, value in zip(("job_id", "queue", "task"), facts, strict=True):
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
