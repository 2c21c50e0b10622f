"""Delivering one webhook: what is sent, how it is signed, and what becomes of a refusal."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import time
from typing import Any, Final

import msgspec

from pyqueue._version import VERSION
from pyqueue.core.errors import WebhookNotFound
from pyqueue.core.job import Job
from pyqueue.core.queue import PyQueue
from pyqueue.core.verdicts import Discard, GiveUp, Retry
from pyqueue.core.webhook import Webhook
from pyqueue.server.outward import TargetRefused, Undelivered, post
from pyqueue.server.settings import Webhooks

log = logging.getLogger(__name__)

_STANDARD_PREFIX: Final = "whsec_"


class Courier:
    """Runs the jobs that deliver."""

    def __init__(self, queue: PyQueue, settings: Webhooks) -> None:
        self._queue = queue
        self._settings = settings

    def __call__(self, job: Job) -> dict[str, Any]:
        """Delivers, and gives what is worth keeping; a worker fails, retries or buries the job as it is raised."""
        webhook = self._webhook_of(job)
        body = body_of(job)
        headers = headers_of(webhook, job.id, str(job.data["event"]), body, now=int(time.time()))
        try:
            status = post(
                webhook.url,
                body,
                headers,
                seconds=self._settings.delivery_timeout_ms / 1_000,
                allows_private=self._settings.allow_private,
            )
        except TargetRefused as error:
            self._gave_up(webhook, str(error))
            raise GiveUp(str(error)) from None
        except Undelivered as error:
            raise self._failed(webhook, job, str(error)) from None
        if not 200 <= status < 300:
            raise self._failed(webhook, job, f"answered with {status}; expected 2xx, redirects are not followed.")
        if webhook.failures:
            self._queue.note_delivery(webhook.id, None, failures_max=self._settings.disable_after)
        return {"status": status}

    def _webhook_of(self, job: Job) -> Webhook:
        try:
            webhook = self._queue.get_webhook(str(job.data["webhook_id"]))
        except WebhookNotFound:
            raise Discard("the webhook was deleted.") from None
        if not webhook.is_active and job.data["event"] != "webhook.test":
            raise GiveUp("the webhook is not active; make it so, then retry this job.")
        return webhook

    def _failed(self, webhook: Webhook, job: Job, error: str) -> Retry:
        if job.attempt + 1 >= job.max_attempts:
            self._gave_up(webhook, error)
        return Retry(error)

    def _gave_up(self, webhook: Webhook, error: str) -> None:
        is_active = self._queue.note_delivery(webhook.id, error, failures_max=self._settings.disable_after)
        if webhook.is_active and not is_active:
            log.warning("webhook stopped after failures", extra={"webhook_id": webhook.id, "error": error})


def body_of(job: Job) -> bytes:
    """Exactly the keys of the wire format, with the event in its dotted form."""
    data = job.data
    told = {"job_id": data["job_id"], "queue": data["queue"]} if data["job_id"] is not None else {}
    return msgspec.json.encode(
        {
            "event": data["event"],
            "webhook_id": data["webhook_id"],
            "timestamp": data["timestamp"] or job.created_at.isoformat().replace("+00:00", "Z"),
            "data": told,
        }
    )


def headers_of(webhook: Webhook, delivery_id: str, event: str, body: bytes, *, now: int) -> dict[str, str]:
    """The headers of the model, and those of Standard Webhooks: id and time are signed there, against replay."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"pyqueue/{VERSION}",
        "X-RustQueue-Event": event,
        "X-RustQueue-Webhook-Id": webhook.id,
        "webhook-id": delivery_id,
        "webhook-timestamp": str(now),
    }
    if webhook.secret is not None:
        headers["X-RustQueue-Signature"] = (
            "sha256=" + hmac.new(webhook.secret.encode(), body, hashlib.sha256).hexdigest()
        )
        signed = b"%s.%d.%s" % (delivery_id.encode(), now, body)
        digest = hmac.new(_key_of(webhook.secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return headers


def _key_of(secret: str) -> bytes:
    """`whsec_` and base64 is the key itself, as the convention has it; any other text is its UTF-8."""
    if secret.startswith(_STANDARD_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            pass
    return secret.encode()
