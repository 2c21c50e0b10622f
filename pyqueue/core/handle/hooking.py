"""Webhooks of a queue: registered here, told by a server with `[webhooks] enabled`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyqueue.core.engine.webhooks import (
    CreateWebhook,
    DeleteWebhook,
    EditWebhook,
    HandOver,
    NoteDelivery,
    Ping,
    require,
)
from pyqueue.core.errors import ValidationError
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.options import new_job
from pyqueue.core.store import webhooks
from pyqueue.core.webhook import Target, Webhook, target_of


class Registered(NamedTuple):
    """The webhooks, and the position of the log up to which events were handed over to them."""

    webhooks: Sequence[Webhook]
    handed_to: int


class Hooking:
    """The part of a handle that keeps webhooks. They lie in the database: every server on it knows them."""

    _runtime: Runtime

    def create_webhook(
        self, url: str, *, events: Sequence[str] = (), queues: Sequence[str] = (), secret: str | None = None
    ) -> Webhook:
        """Registers a URL to be told of `events` (none: pushed, completed, failed, cancelled) in `queues` (none: all).

        With a `secret` each request is signed; see docs/server.md.

        Raises:
            ValidationError: the URL, an event or a queue does not fit.
        """
        return self._runtime.write(_create_of(url, events, queues, secret))

    async def acreate_webhook(
        self, url: str, *, events: Sequence[str] = (), queues: Sequence[str] = (), secret: str | None = None
    ) -> Webhook:
        """`create_webhook` for event loops."""
        return await self._runtime.awrite(_create_of(url, events, queues, secret))

    def edit_webhook(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        queues: Sequence[str] | None = None,
        secret: str | None = None,
        is_active: bool | None = None,
    ) -> Webhook:
        """Changes what is given; `secret=""` takes the secret away. One made active is told of what happens from then.

        Raises:
            WebhookNotFound, ValidationError.
        """
        return self._runtime.write(EditWebhook(webhook_id, target_of(url, events, queues, secret, is_active)))

    async def aedit_webhook(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        queues: Sequence[str] | None = None,
        secret: str | None = None,
        is_active: bool | None = None,
    ) -> Webhook:
        """`edit_webhook` for event loops."""
        return await self._runtime.awrite(EditWebhook(webhook_id, target_of(url, events, queues, secret, is_active)))

    def get_webhook(self, webhook_id: str) -> Webhook:
        """The webhook. Raises WebhookNotFound."""
        return self._runtime.read(lambda tx: require(tx, webhook_id))

    async def aget_webhook(self, webhook_id: str) -> Webhook:
        """`get_webhook` for event loops."""
        return await self._runtime.aread(lambda tx: require(tx, webhook_id))

    def list_webhooks(self) -> list[Webhook]:
        """Every webhook, oldest first."""
        return self._runtime.read(webhooks.all_of_them)

    async def alist_webhooks(self) -> list[Webhook]:
        """`list_webhooks` for event loops."""
        return await self._runtime.aread(webhooks.all_of_them)

    def delete_webhook(self, webhook_id: str) -> None:
        """Removes a webhook, with whatever was still to be delivered to it. Raises WebhookNotFound."""
        self._runtime.write(DeleteWebhook(webhook_id))

    async def adelete_webhook(self, webhook_id: str) -> None:
        """`delete_webhook` for event loops."""
        await self._runtime.awrite(DeleteWebhook(webhook_id))

    def ping_webhook(self, webhook_id: str) -> str:
        """Sends it an event `webhook.test`; gives the id of the job that does. Raises WebhookNotFound."""
        return self._runtime.text_of(self._runtime.write(_ping_of(webhook_id)))

    async def aping_webhook(self, webhook_id: str) -> str:
        """`ping_webhook` for event loops."""
        return self._runtime.text_of(await self._runtime.awrite(_ping_of(webhook_id)))

    # --- for the server that delivers ----------------------------------------------------------------

    def registered(self) -> Registered:
        """The webhooks, and how far events were handed over to them. For servers."""
        return self._runtime.read(lambda tx: Registered(webhooks.all_of_them(tx), webhooks.handed_to(tx)))

    async def aregistered(self) -> Registered:
        """`registered` for event loops."""
        return await self._runtime.aread(lambda tx: Registered(webhooks.all_of_them(tx), webhooks.handed_to(tx)))

    def hand_over(self, after: int, to: int, deliveries: Sequence[Mapping[str, Any]]) -> bool:
        """Pushes the deliveries of the events between two positions, unless another process has. For servers."""
        return self._runtime.write(_hand_over_of(after, to, deliveries))

    async def ahand_over(self, after: int, to: int, deliveries: Sequence[Mapping[str, Any]]) -> bool:
        """`hand_over` for event loops."""
        return await self._runtime.awrite(_hand_over_of(after, to, deliveries))

    def note_delivery(self, webhook_id: str, error: str | None, *, failures_max: int) -> bool:
        """Notes how a delivery has ended; gives whether the webhook is active. For servers."""
        return self._runtime.write(NoteDelivery(webhook_id, error, failures_max))

    async def anote_delivery(self, webhook_id: str, error: str | None, *, failures_max: int) -> bool:
        """`note_delivery` for event loops."""
        return await self._runtime.awrite(NoteDelivery(webhook_id, error, failures_max))


def _create_of(url: str, events: Sequence[str], queues: Sequence[str], secret: str | None) -> CreateWebhook:
    target: Target = target_of(url, events, queues, secret)
    if target.url is None:
        raise ValidationError("url None; expected such as 'https://example.com/hook'.")
    import uuid  # As in `core.webhook`: most programs have no webhooks.

    return CreateWebhook(str(uuid.uuid4()), target)


def _ping_of(webhook_id: str) -> Ping:
    data = {"webhook_id": webhook_id, "event": "webhook.test", "timestamp": None, "job_id": None, "queue": None}
    return Ping(webhook_id, new_job("deliver", data, {"tags": [webhook_id], "max_attempts": 1}))


def _hand_over_of(after: int, to: int, deliveries: Sequence[Mapping[str, Any]]) -> HandOver:
    """`deliveries`: for each the `data` and the options of its job."""
    jobs = [new_job("deliver", each["data"], {key: each[key] for key in each if key != "data"}) for each in deliveries]
    return HandOver(after, to, tuple(jobs))
