"""Each command as an operation of the engine: what is quick, and needs no task of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from msgspec import Raw

from pyqueue.core import limits, validate
from pyqueue.core.engine.finish import Ack, Fail, FailMany, Ref, Release
from pyqueue.core.engine.intervene import Cancel
from pyqueue.core.engine.lease import Heartbeat, Progress
from pyqueue.core.engine.looking import Checked, Places
from pyqueue.core.engine.pull import PullToPassOn
from pyqueue.core.engine.push import Push
from pyqueue.core.engine.queues import Pause, Resume
from pyqueue.core.engine.taken import Taken
from pyqueue.core.errors import PyQueueError, ValidationError
from pyqueue.core.job import Job
from pyqueue.core.options import NewJob, new_job
from pyqueue.server import tcp_commands as commands
from pyqueue.server import tcp_replies as replies
from pyqueue.server.tcp_commands import NULL
from pyqueue.server.tcp_plan import Plan

_DATA: Final = "payload (data)"


def add_checked(plan: Plan, command: Any, ids: tuple[str, ...], check: Callable[[Places], Collection[str]]) -> None:
    """`add`, with a look at where the jobs `ids` are in the transaction of the command: see `Checked`."""
    own = Plan(plan.queue)
    add(own, command)
    own.finish()
    plan.include(own, lambda operation: Checked(operation, ids, check))


def add(plan: Plan, command: Any) -> None:
    """Plans a command; one that does not fit is answered and leaves the others alone."""
    try:
        PLANNERS[type(command)](plan, command)
    except PyQueueError as trouble:
        plan.say(replies.error(trouble))


def _plain_push(plan: Plan, command: commands.PlainPush) -> None:
    plan.push(validate.queue_name(command.queue), _plain_job(command))


def _plain_job(job: commands.PlainPush | commands.PlainJob) -> NewJob:
    return NewJob(validate.job_name(job.name), validate.json_text(job.data, _DATA, limits.DATA_BYTES_MAX))


def _plain_jobs(jobs: Sequence[commands.PlainJob]) -> tuple[NewJob, ...]:
    for name in dict.fromkeys([job.name for job in jobs]):
        validate.job_name(name)
    texts = validate.json_texts([job.data for job in jobs], _DATA, limits.DATA_BYTES_MAX)
    return tuple([NewJob(job.name, text) for job, text in zip(jobs, texts, strict=True)])


def _push(plan: Plan, command: commands.Push) -> None:
    push = push_of(command, plan.queue.max_flow_depth)
    if push.jobs[0].settings is None:
        plan.push(push.queue, push.jobs[0])
    else:
        plan.do(push, lambda keys: replies.pushed_one(plan.queue.ids_of(keys)[0]))


def push_of(command: commands.PlainPush | commands.Push, depth_max: int | None) -> Push:
    """The operation of a push."""
    if isinstance(command, commands.PlainPush):
        job = _plain_job(command)
    else:
        job = new_job(command.name, command.data, command.merged())
    return Push(validate.queue_name(command.queue), (job,), depth_max)


def _push_batch(plan: Plan, command: commands.PlainPushBatch | commands.PushBatch) -> None:
    push = push_batch_of(command, plan.queue.max_flow_depth)
    if push.jobs:
        plan.do(push, lambda keys: replies.pushed(plan.queue.ids_of(keys)))
    else:
        plan.say(replies.pushed([]))


def push_batch_of(command: commands.PlainPushBatch | commands.PushBatch, depth_max: int | None) -> Push:
    """The operation of a batch of pushes."""
    if isinstance(command, commands.PlainPushBatch):
        jobs = _plain_jobs(command.jobs)
    else:
        jobs = tuple(new_job(job.name, job.data, job.merged()) for job in command.jobs)
    return Push(validate.queue_name(command.queue), jobs, depth_max)


def pull_of(plan: Plan, command: commands.Pull) -> PullToPassOn:
    """The operation of a pull; `fields` that no job has are refused before a job is taken."""
    replies.require_fields(command.fields)
    if command.worker_id is not None:
        validate.text(command.worker_id, "worker_id", limits.LABEL_BYTES_MAX)
    count = 1 if command.count is None else min(command.count, limits.PULL_COUNT_MAX)
    # The name is not checked: no job can be in a queue of a wrong name, and the wire format asks for none.
    return PullToPassOn((command.queue,), count, command.lease_ms or plan.queue.lease_ms, command.worker_id)


def _pull(plan: Plan, command: commands.Pull) -> None:
    as_list = command.count not in (None, 1)

    def line(taken: Taken | Sequence[Job]) -> bytes:
        return replies.pulled(taken, as_list=as_list, fields=command.fields)

    plan.do(pull_of(plan, command), line)


def _ack(plan: Plan, command: commands.Ack) -> None:
    plan.ack((command.id, command.lease, _result(command.result)))


def _result(result: Raw) -> str | None:
    return None if result == NULL else validate.json_text(result, "result", limits.RESULT_BYTES_MAX)


def _ack_batch(plan: Plan, command: commands.AckBatch) -> None:
    # An id that is none refuses the whole command, before anything is done: so all of them are read first.
    if command.items is not None:
        ids = [item.id for item in command.items]
        items = [
            (job, item.lease, _result(item.result))
            for job, item in zip(plan.queue.keys_or_ids(ids), command.items, strict=True)
        ]
    elif command.ids is not None:
        ids = command.ids
        items = [(job, None, None) for job in plan.queue.keys_or_ids(ids)]
    else:
        raise ValidationError("ack_batch has neither `items` nor `ids`; expected one of them.")
    if items:
        plan.do(Ack(tuple(items)), lambda errors: replies.acknowledged(ids, errors))
    else:
        plan.say(replies.acknowledged([], []))


def _fail(plan: Plan, command: commands.Fail) -> None:
    plan.do(_fail_of(command), replies.failed)


def _fail_of(item: commands.FailItem) -> Fail:
    error = validate.error_text("unknown error" if item.error is None else item.error)
    return Fail(Ref(item.id, item.lease), error, item.retry, item.delay_ms, item.discard)


def _fail_batch(plan: Plan, command: commands.FailBatch) -> None:
    ids = [item.id for item in command.items]
    for job_id in ids:
        plan.queue.key_or_id(job_id)
    operation = FailMany(tuple(map(_fail_of, command.items)))
    plan.do(operation, lambda outcomes: replies.failed_many(ids, outcomes))


def _release(plan: Plan, command: commands.Release) -> None:
    plan.do(Release(Ref(command.id, command.lease), command.delay_ms), _done)


def _cancel(plan: Plan, command: commands.Cancel) -> None:
    plan.do(Cancel(command.id, command.running), _done)


def _heartbeat(plan: Plan, command: commands.Heartbeat) -> None:
    refs = (Ref(command.id, command.lease),)
    plan.do(Heartbeat(refs, command.lease_ms or plan.queue.lease_ms), lambda outcomes: replies.kept_alive(outcomes[0]))


def _heartbeat_batch(plan: Plan, command: commands.HeartbeatBatch) -> None:
    ids = [item.id for item in command.items]
    refs = tuple(Ref(plan.queue.key_or_id(item.id), item.lease) for item in command.items)
    operation = Heartbeat(refs, command.lease_ms or plan.queue.lease_ms)
    plan.do(operation, lambda outcomes: replies.kept_alive_many(ids, outcomes))


def _progress(plan: Plan, command: commands.Progress) -> None:
    if command.message:
        validate.text(command.message, "progress message", limits.MESSAGE_BYTES_MAX)
    operation = Progress(Ref(command.id, command.lease), min(100, command.progress), command.message or None)
    plan.do(operation, _done)


def _queue_pause(plan: Plan, command: commands.QueuePause) -> None:
    plan.do(Pause(validate.queue_name(command.queue), pushes=True, pulls=False), _done)


def _queue_resume(plan: Plan, command: commands.QueueResume) -> None:
    plan.do(Resume(validate.queue_name(command.queue)), _done)


def _ping(plan: Plan, command: commands.Ping) -> None:
    plan.say(replies.OK)


def _done(outcome: object) -> bytes:
    return replies.OK


PLANNERS: Final[dict[type, Callable[[Plan, Any], None]]] = {
    commands.PlainPush: _plain_push,
    commands.PlainPushBatch: _push_batch,
    commands.Push: _push,
    commands.PushBatch: _push_batch,
    commands.Pull: _pull,
    commands.Ack: _ack,
    commands.AckBatch: _ack_batch,
    commands.Fail: _fail,
    commands.FailBatch: _fail_batch,
    commands.Release: _release,
    commands.Cancel: _cancel,
    commands.Heartbeat: _heartbeat,
    commands.HeartbeatBatch: _heartbeat_batch,
    commands.Progress: _progress,
    commands.QueuePause: _queue_pause,
    commands.QueueResume: _queue_resume,
    commands.Ping: _ping,
}
