"""One scenario for each way of changing the database: what is there before, and the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyqueue import Job, PyQueue, Tasks
from pyqueue.testing import FakeClock
from tests.crash.faults import Fault, armed, kill, use_faulty_connections

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
    "on_parent_failure": "run",
}


tasks = Tasks(PyQueue(":memory:"))


@tasks.task
def tell() -> None:
    """What a batch calls when it has ended."""


@dataclass
class Prepared:
    """Jobs in every state, as the scenarios find them."""

    plain: Job
    parent: Job
    removed: Job
    last_try: Job
    cancelled_run: Job
    waiting: str
    dead: str
    dead_parent: str
    dead_child: str
    parent_waiting: str
    in_slot: Job
    on_breaker: Job
    top: Job
    batch_id: str


def prepare(queue: PyQueue, clock: FakeClock) -> Prepared:
    """Fills a new queue."""
    dead = queue.push("q", "dead", tags=["t"], max_attempts=1)
    queue.fail(queue.pull("q")[0], "broken")
    queue.push("q", "due", delay_ms=1)
    queue.push("q", "expired", ttl_ms=1)
    for max_attempts in (1, 3):
        lapsing = queue.push("old", "lapsing", timeout_ms=1, max_attempts=max_attempts)
        queue.push("children", "child", depends_on=[lapsing])
    queue.pull("old", count=2)
    dead_parent = queue.push("dying", "parent", max_attempts=1)
    dead_child = queue.push("dying", "child", unique_key="d", depends_on=[dead_parent])
    queue.fail(queue.pull("dying")[0], "broken")
    plain = queue.push("run", "plain")
    parent = queue.push("run", "parent")
    queue.push("children", "child", depends_on=[parent])
    removed = queue.push("run", "removed", remove_on_complete=True, tags=["t"])
    last_try = queue.push("run", "last-try", max_attempts=1, remove_on_fail=True)
    queue.push("children", "child", depends_on=[last_try])
    cancelled = queue.push("run", "cancelled")
    runs = {job.id: job for job in queue.pull("run", count=5)}
    queue.cancel(cancelled)
    queue.progress(runs[removed], 10, "begun")
    waiting = queue.push("q", "waiting", group_id="g")
    parent_waiting = queue.push("q", "parent", group_id="h")
    queue.push("children", "grandchild", depends_on=[queue.push("children", "child", depends_on=[parent_waiting])])
    queue.ack(queue.pull("done", count=1)[0] if queue.push("done", "done") else "")
    queue.set_limit("limited", key="*", concurrency=2, rate=5)
    queue.set_limit("limited", concurrency=3)
    queue.set_push_limit("limited", rate=20)
    queue.set_breaker("breaking", failures=1)
    queue.push_many("limited", [{"name": "n", "limit_key": key} for key in ("a", "a", "a", "b")] + [{"name": "n"}])
    queue.push("breaking", "n")
    queue.push("unique", "pending", unique_key="p", tags=["t"])
    queue.push("unique", "running", unique_key="r", priority=1)
    queue.pull("unique")
    in_slot, on_breaker = queue.pull("limited")[0], queue.pull("breaking")[0]
    queue.create_schedule("ticks", "q", "tick", every_ms=500, overlap="queue", job_options={"tags": ["t"]})
    queue.pause("held", pulls=True)
    taken = (runs[plain], runs[parent], runs[removed], runs[last_try], runs[cancelled])
    top = prepare_flows(queue)
    clock.advance(ms=2)  # Last, since every pull does what is due, and housekeeping must find something.
    return Prepared(*taken, waiting, dead, dead_parent, dead_child, parent_waiting, in_slot, on_breaker, top, "b")


def prepare_flows(queue: PyQueue) -> Job:
    """A flow that runs and one that is dead, both with children of every kind, and an open batch."""
    follow_ups = [{"queue": "after", "name": "n"}, {"queue": "q", "name": "n", "options": {"unique_key": "f"}}]
    for flow_id in ("dead-flow", "flow"):
        top: dict[str, Any] = {
            "name": "top",
            "ref": "top",
            "metadata": {"follow_ups": follow_ups},
            "remove_on_complete": True,
        }
        children: list[dict[str, Any]] = [
            {"name": kind, "ref": kind, "depends_on": ["top"], "on_parent_failure": kind}
            for kind in ("fail", "cancel", "run", "only")
        ]
        bottom: dict[str, Any] = {"name": "bottom", "depends_on": ["fail", "run", "only"]}
        queue.push_many(flow_id, [{**job, "flow_id": flow_id, "max_attempts": 1} for job in (top, *children, bottom)])
    for _ in range(3):
        queue.fail(queue.pull("dead-flow")[0], "broken")
    queue.push("q", "holder", unique_key="f")
    batch = queue.batch("b", on_complete=tell.call(), on_failure=tell.call(), on_end=tell.call())
    batch.add("members", "n")
    batch.flush()
    return queue.pull("flow")[0]


def push_flow(queue: PyQueue, waiting: str) -> None:
    flow = queue.flow("new-flow")
    first = flow.add("new", "n", after=[waiting])
    flow.add("newer", "n", {"given": first.result}, after=[first])
    flow.push()


# Seconds between the preparation and the call, where it is not at once.
LATER = {"removal of old jobs": 100 * 24 * 3_600, "firing of schedules": 1}

# Read after their last write: if that fails, all is done that had to be done.
READS_LAST = ("housekeep", "removal of old jobs", "firing of schedules")


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
    "push_many with keys and parents": lambda queue, it: queue.push_many(
        "q", [{"name": "new", "unique_key": n, "depends_on": [it.plain.id, it.waiting], "delay_ms": 1} for n in "abc"]
    ),
    "fail": lambda queue, it: queue.fail(it.plain, "broken"),
    "fail for good": lambda queue, it: queue.fail(it.last_try, "broken"),
    "fail of a cancelled run": lambda queue, it: queue.fail(it.cancelled_run, "stopped"),
    "release": lambda queue, it: queue.release(it.plain, delay_ms=5),
    "cancel": lambda queue, it: queue.cancel(it.parent_waiting),
    "cancel of an active job": lambda queue, it: queue.cancel(it.plain),
    "heartbeat": lambda queue, it: queue.heartbeat(it.plain),
    "heartbeat_many": lambda queue, it: queue.heartbeat_many([it.plain, it.waiting, it.parent]),
    "progress": lambda queue, it: queue.progress(it.removed, 50, "half"),
    "log": lambda queue, it: queue.log(it.removed, "more"),
    "once": lambda queue, it: queue.once(it.plain, "step", lambda: 1),
    "retry": lambda queue, it: queue.retry(it.dead),
    "retry of a parent and its child": lambda queue, it: queue.retry(it.dead_parent),
    "retry_dlq": lambda queue, _: queue.retry_dlq("q"),
    "delete": lambda queue, it: queue.delete(it.dead),
    "delete of a parent": lambda queue, it: queue.delete(it.parent_waiting),
    "purge": lambda queue, _: queue.purge("q", state="waiting"),
    "purge of everything": lambda queue, _: queue.purge("q"),
    "push of a flow": lambda queue, it: push_flow(queue, it.waiting),
    "ack of a parent with follow-ups": lambda queue, it: queue.ack(it.top, {"rows": 3}),
    "fail of a parent of every kind of child": lambda queue, it: queue.fail(it.top, "broken"),
    "cancel_flow": lambda queue, _: queue.cancel_flow("flow"),
    "cancel_flow of a batch": lambda queue, it: queue.cancel_flow(it.batch_id),
    "retry_flow": lambda queue, _: queue.retry_flow("dead-flow"),
    "delete_flow": lambda queue, _: queue.delete_flow("dead-flow"),
    "members of a batch": lambda queue, it: queue.open_batch(it.batch_id).add_many(
        "members", [{"name": "n"}, {"name": "n", "tags": ["t"]}]
    ),
    "closing of a batch": lambda queue, it: queue.open_batch(it.batch_id).close(),
    "pause": lambda queue, _: queue.pause("q", pulls=True),
    "resume": lambda queue, _: queue.resume("held"),
    "push_many to a limited queue": lambda queue, _: queue.push_many(
        "limited", [{"name": "new"}, {"name": "new", "limit_key": "a"}, {"name": "new", "tags": ["t"]}]
    ),
    "push_many with all answers to a held key": lambda queue, _: queue.push_many(
        "unique",
        [
            {"name": "new", "unique_key": "p", "unique_mode": "debounce", "delay_ms": 5, "tags": ["u"]},
            {"name": "new", "unique_key": "r", "unique_mode": "replace"},
            {"name": "new", "unique_key": "s", "unique_mode": "throttle", "unique_for_ms": 9},
            {"name": "new", "unique_key": "s", "unique_mode": "throttle", "unique_for_ms": 9},
        ],
    ),
    "pull under limits": lambda queue, _: queue.pull("limited", count=5),
    "ack under limits": lambda queue, it: queue.ack_many([it.in_slot, it.plain]),
    "fail that opens a breaker": lambda queue, it: queue.fail(it.on_breaker, "broken"),
    "ack on a breaker": lambda queue, it: queue.ack(it.on_breaker),
    "set_limit": lambda queue, _: queue.set_limit("q", key="*", concurrency=1),
    "clear_limit": lambda queue, _: queue.clear_limit("limited", key="*"),
    "set_breaker": lambda queue, _: queue.set_breaker("run", failures=3),
    "create_schedule": lambda queue, _: queue.create_schedule("new", "q", "tick", cron_expr="@daily"),
    "edit_schedule": lambda queue, _: queue.edit_schedule("ticks", every_ms=700),
    "pause_schedule": lambda queue, _: queue.pause_schedule("ticks"),
    "trigger_schedule": lambda queue, _: queue.trigger_schedule("ticks"),
    "delete_schedule": lambda queue, _: queue.delete_schedule("ticks"),
    "firing of schedules": lambda queue, _: queue.housekeep(),
    "housekeep": lambda queue, _: queue.housekeep(),
    "removal of old jobs": lambda queue, _: queue.housekeep(),
}


def open_later(name: str, path: Path) -> PyQueue:
    """The handle for a scenario, on a copy of the prepared file."""
    clock = FakeClock()
    clock.advance(ms=2, seconds=LATER.get(name, 0))
    return PyQueue(path, clock=clock, durability="process")


def be_killed(name: str, path: Path, prepared: Prepared, number: int) -> None:
    """For a process of its own: begins the scenario, and dies right after its statement `number`."""
    use_faulty_connections()
    with open_later(name, path) as queue:
        queue.stats("q")
        with armed(Fault(kill, number, is_after=True)):
            SCENARIOS[name](queue, prepared)
