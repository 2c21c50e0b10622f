"""The replies of the TCP protocol: one line of JSON for each command, without the line break."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from pyqueue.core import validate
from pyqueue.core.engine.taken import Taken
from pyqueue.core.errors import JobNotFound, PyQueueError, StorageError
from pyqueue.core.job import FailResult, HeartbeatResult, Job, QueueCounts
from pyqueue.core.shapes import counts_object, job_object, job_texts, moment_text
from pyqueue.server.tcp_commands import Refusal

log = logging.getLogger(__name__)

# What a pull can be asked for: the keys of a job.
FIELDS: Final = frozenset({
    "id", "custom_id", "name", "queue", "data", "result", "state", "progress", "logs", "priority", "delay_until",
    "created_at", "updated_at", "started_at", "completed_at", "max_attempts", "attempt", "backoff",
    "backoff_delay_ms", "last_error", "ttl_ms", "timeout_ms", "unique_key", "tags", "group_id", "metadata",
    "depends_on", "flow_id", "lifo", "remove_on_complete", "remove_on_fail", "worker_id", "last_heartbeat",
    "lease", "lease_until", "expires_at", "backoff_jitter", "cancel_requested",
})  # fmt: skip

_encode: Final = msgspec.json.encode
Reply = Callable[[Any], bytes]

OK: Final = b'{"ok":true}'


def refused(code: str, message: str) -> bytes:
    """An error, with exactly the keys of the wire format."""
    return _encode({"ok": False, "error": {"code": code, "message": message}})


def error(trouble: BaseException) -> bytes:
    """The reply to a command that was refused or has failed."""
    return refused(*told(trouble))


def told(trouble: BaseException) -> tuple[str, str]:
    """The code and message of an error. What the message may tell of this machine stays in its log."""
    if isinstance(trouble, Refusal):
        return trouble.code, str(trouble)
    if isinstance(trouble, StorageError):
        log.error("the storage failed", extra={"code": trouble.code, "error": str(trouble)})
        return "INTERNAL_ERROR", f"the storage failed ({trouble.code}); see the log of the server."
    if isinstance(trouble, PyQueueError):
        return trouble.code, str(trouble)
    log.error("a command failed", exc_info=trouble)
    return "INTERNAL_ERROR", "the command failed; see the log of the server."


def pushed(ids: Sequence[str]) -> bytes:
    """For `push_batch`: the ids in the order of the jobs."""
    return b'{"ok":true,"ids":["%b"]}' % '","'.join(ids).encode() if ids else b'{"ok":true,"ids":[]}'


def pushed_one(job_id: str) -> bytes:
    return b'{"ok":true,"id":"%b"}' % job_id.encode()


def pulled(taken: Taken | Sequence[Job], *, as_list: bool, fields: Sequence[str] | None) -> bytes:
    """`job` when one was asked for, `jobs` when more; with `fields` only these keys of each."""
    if isinstance(taken, Taken):
        texts = taken.texts() if fields is None else [_chosen(job, fields) for job in taken.jobs()]
    else:
        texts = job_texts(taken) if fields is None else [_chosen(job, fields) for job in taken]
    if as_list:
        return f'{{"ok":true,"jobs":[{",".join(texts)}]}}'.encode()
    return f'{{"ok":true,"job":{texts[0] if texts else "null"}}}'.encode()


def job(found: Job, fields: Sequence[str] | None) -> bytes:
    return pulled([found], as_list=False, fields=fields)


def require_fields(fields: Sequence[str] | None) -> None:
    """Refuses a key that no job has.

    Raises:
        ValidationError.
    """
    validate.known_keys(fields or (), FIELDS, "job field")


def _chosen(job: Job, fields: Sequence[str]) -> str:
    """Some keys of a job. The few that workers need are taken from the row, the rest from the whole object."""
    whole: dict[str, Any] | None = None
    chosen = {}
    for field in fields:
        quick = _QUICK.get(field)
        if quick is not None:
            chosen[field] = quick(job)
            continue
        whole = whole or job_object(job)
        if field in whole:
            chosen[field] = whole[field]
    return _encode(chosen).decode()


_QUICK: Final[dict[str, Callable[[Job], Any]]] = {
    "id": lambda job: job.id,
    "name": lambda job: job.name,
    "queue": lambda job: job.queue,
    "data": lambda job: Raw(job.data_json.encode()),
    "attempt": lambda job: job.attempt,
    "max_attempts": lambda job: job.max_attempts,
    "priority": lambda job: job.priority,
    "lease": lambda job: job.lease,
}


def acknowledged(ids: Sequence[str], errors: Sequence[PyQueueError | None]) -> bytes:
    """For `ack_batch`: each item by itself, and an `error` in words for clients that look no further."""
    failed = sum(each is not None for each in errors)
    if not failed:
        # An id that was found is made of hexadecimal digits and the like: nothing to escape.
        results = ",".join([f'{{"id":"{job_id}","ok":true}}' for job_id in ids])
        return f'{{"ok":true,"acked":{len(ids)},"failed":0,"results":[{results}]}}'.encode()
    return _partly("acked", len(ids) - failed, [_item(job_id, each) for job_id, each in zip(ids, errors, strict=True)])


def failed_many(ids: Sequence[str], outcomes: Sequence[FailResult | BaseException]) -> bytes:
    """For `fail_batch`."""
    items = [
        _item(job_id, each) if isinstance(each, BaseException) else _item(job_id) | _failed(each)
        for job_id, each in zip(ids, outcomes, strict=True)
    ]
    return _partly("recorded", sum(item["ok"] for item in items), items)


def kept_alive_many(ids: Sequence[str], outcomes: Sequence[HeartbeatResult | PyQueueError]) -> bytes:
    """For `heartbeat_batch`."""
    items = [
        _item(job_id, each) if isinstance(each, PyQueueError) else _item(job_id) | _kept_alive(each)
        for job_id, each in zip(ids, outcomes, strict=True)
    ]
    return _partly("extended", sum(item["ok"] for item in items), items)


def _partly(word: str, done: int, items: Sequence[dict[str, Any]]) -> bytes:
    failed = len(items) - done
    reply: dict[str, Any] = {"ok": not failed, word: done, "failed": failed, "results": items}
    if failed:
        message = f"{failed} of {len(items)} items were refused; `results` says which, and why."
        reply["error"] = {"code": "PARTIAL_FAILURE", "message": message}
    return _encode(reply)


def _item(job_id: str, trouble: BaseException | None = None) -> dict[str, Any]:
    if trouble is None:
        return {"id": job_id, "ok": True}
    code, message = told(trouble)
    return {"id": job_id, "ok": False, "error": {"code": code, "message": message}}


def failed(result: FailResult) -> bytes:
    return _encode({"ok": True} | _failed(result))


def _failed(result: FailResult) -> dict[str, Any]:
    at = None if result.next_attempt_at is None else moment_text(result.next_attempt_at)
    return {"will_retry": result.will_retry, "next_attempt_at": at, "state": result.state.value}


def kept_alive(result: HeartbeatResult | PyQueueError) -> bytes:
    return error(result) if isinstance(result, PyQueueError) else _encode({"ok": True} | _kept_alive(result))


def _kept_alive(result: HeartbeatResult) -> dict[str, Any]:
    return {"lease_until": moment_text(result.lease_until), "cancel_requested": result.cancel_requested}


def counted(counts: QueueCounts) -> bytes:
    return _encode({"ok": True, "counts": counts_object(counts)})


def not_found(trouble: JobNotFound) -> bytes:
    """`get` calls a missing job NOT_FOUND: the published clients turn that, and only that, into null."""
    return refused("NOT_FOUND", str(trouble))
