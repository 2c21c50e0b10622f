"""pyqueue's tasks."""

from __future__ import annotations

from bench.peer import jobs
from pyqueue.contrib.django import task

UNFINISHED = "SELECT count(*) FROM pyqueue_job WHERE state < 4"
push_noop = task(name="noop", queue="bench")(jobs.noop).push
push_stamp = task(name="stamp", queue="bench")(jobs.stamp).push
