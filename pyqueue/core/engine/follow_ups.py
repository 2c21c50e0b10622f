"""Follow-ups: jobs that a job names in its metadata, pushed in the transaction in which it completes."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from pyqueue.core.engine.push import store
from pyqueue.core.errors import PyQueueError
from pyqueue.core.options import FollowUp, NewJob, follow_ups_in, new_job
from pyqueue.core.store import jobs, lease
from pyqueue.core.store.transaction import Transaction

log: Final = logging.getLogger(__name__)

Parent = jobs.Completed


def push(tx: Transaction, key: int) -> None:
    """Pushes the follow-ups of a job that has just completed, also to queues that are paused.

    One that cannot be pushed (its unique key is held, another parent of it is dead) is left out: that is told in
    the log of the job. It cannot undo the work that was done.
    """
    parent = jobs.completed(tx, key)
    for number, follow_up in enumerate(follow_ups_in(parent.metadata_json or ""), start=1):
        try:
            store(tx, [follow_up.queue], [_job(tx, parent, follow_up)])
        except PyQueueError as error:
            lease.add_log(tx, key, f"follow-up {number} ({follow_up.name}) was not pushed: {error}"[:1_000])
            log.warning("follow-up not pushed", extra={"job_id": tx.text_of(key), "code": error.code})


def _job(tx: Transaction, parent: Parent, follow_up: FollowUp) -> NewJob:
    """What the wire format says: what the entry does not name is taken from the parent."""
    options: dict[str, Any] = {name: value for name, value in follow_up.options.items() if value is not None}
    options["depends_on"] = [*options.get("depends_on", ()), tx.text_of(parent.key)]
    options.setdefault("flow_id", follow_up.flow_id or parent.flow_id)
    if "metadata" not in options:
        metadata = msgspec.json.decode(parent.metadata_json or "{}")
        options["metadata"] = {name: value for name, value in metadata.items() if name != "follow_ups"} or None
    data = follow_up.data
    if data is None:
        data = {} if parent.result_json is None else msgspec.Raw(parent.result_json.encode())
    return new_job(follow_up.name, data, options)
