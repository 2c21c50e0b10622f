"""One scenario for each way of changing the database: what is there before, and the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pyqueue import Job, PyQueue
from pyqueue.testing import FakeClock

EVERY_OPTION: dict[str, Any] = {
    "priority": 3,
    "delay_ms": 1_000,
    "max_attempts": 5,
    "backoff": "linear",
    "backoff_delay_ms": 10,
    "backoff_jitter": True,
    "ttl_ms": 90_000_000,
    "timeout_ms": 5_000,
    "unique_key": "k",
    "tags": ["x", "y"],
    "group_id": "g",
    "remove_on_complete": True,
    "remove_on_fail": True,
    "custom_id": "c",
    "metadata": {"m": 1},
    "flow_id": "f",
}


@dataclass
class Prepared:
    """Jobs in every state, as the scenarios find them."""

    plain: Job
    parent: Job
    removed: Job
    last_try: Job
    waiting: str
    dead: str
    parent_waiting: str


def prepare(queue: PyQueue, clock: FakeClock) -> Prepared:
    """Fills a new queue."""
    dead = queue.push("q", "dead", tags=["t"], max_attempts=1)
    queue.fail(queue.pull("q")[0], "broken")
    queue.push("q", "due", delay_ms=1)
    queue.push("q", "expired", ttl_ms=1)
    queue.push("old", "lapsed", timeout_ms=1)
    queue.pull("old")
    plain = queue.push("run", "plain")
    parent = queue.push("run", "parent")
    queue.push("children", "child", depends_on=[parent])
    removed = queue.push("run", "removed", remove_on_complete=True, tags=["t"])
    last_try = queue.push("run", "last-try", max_attempts=1, remove_on_fail=True)
    queue.push("children", "child", depends_on=[last_try])
    runs = {job.id: job for job in queue.pull("run", count=4)}
    queue.progress(runs[removed], 10, "begun")
    waiting = queue.push("q", "waiting", group_id="g")
    parent_waiting = queue.push("q", "parent", group_id="h")
    queue.push("children", "grandchild", depends_on=[queue.push("children", "child", depends_on=[parent_waiting])])
    queue.ack(queue.pull("done", count=1)[0] if queue.push("done", "done") else "")
    clock.advance(ms=2)
    return Prepared(runs[plain], runs[parent], runs[removed], runs[last_try], waiting, dead, parent_waiting)


def _remove_old(queue: PyQueue, _: Prepared) -> None:
    queue._runtime.clock.advance(seconds=timedelta(days=100).total_seconds())  # type: ignore[attr-defined]
    queue.housekeep()


SCENARIOS: dict[str, Callable[[PyQueue, Prepared], object]] = {
    "push": lambda queue, _: queue.push("q", "new", {"n": 1}),
    "push with every option": lambda queue, it: queue.push("q", "new", {}, **EVERY_OPTION, depends_on=[it.waiting]),
    "push_many": lambda queue, _: queue.push_many(
        "q", [{"name": "new"}, {"name": "new", "tags": ["z"], "group_id": "g"}, {"name": "new", "lifo": True}]
    ),
    "pull": lambda queue, _: queue.pull("q"),
    "pull from two queues": lambda queue, _: queue.pull(["none", "q"], count=9),
    "ack": lambda queue, it: queue.ack(it.plain, {"ok": True}),
    "ack of a parent": lambda queue, it: queue.ack(it.parent),
    "ack that removes": lambda queue, it: queue.ack(it.removed),
    "ack_many": lambda queue, it: queue.ack_many([it.plain, it.parent, it.removed, it.waiting]),
    "fail": lambda queue, it: queue.fail(it.plain, "broken"),
    "fail for good": lambda queue, it: queue.fail(it.last_try, "broken"),
    "release": lambda queue, it: queue.release(it.plain, delay_ms=5),
    "cancel": lambda queue, it: queue.cancel(it.parent_waiting),
    "cancel of an active job": lambda queue, it: queue.cancel(it.plain),
    "heartbeat": lambda queue, it: queue.heartbeat(it.plain),
    "progress": lambda queue, it: queue.progress(it.removed, 50, "half"),
    "retry": lambda queue, it: queue.retry(it.dead),
    "retry_dlq": lambda queue, _: queue.retry_dlq("q"),
    "delete": lambda queue, it: queue.delete(it.dead),
    "purge": lambda queue, _: queue.purge("q", state="waiting"),
    "pause": lambda queue, _: queue.pause("q", pulls=True),
    "resume": lambda queue, _: queue.resume("q"),
    "housekeep": lambda queue, _: queue.housekeep(),
    "removal of old jobs": _remove_old,
}
