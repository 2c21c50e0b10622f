"""Webhooks: registered, changed, and given jobs that deliver what happened."""

from __future__ import annotations

from typing import ClassVar, Final

from msgspec import Struct

from pyqueue.core.engine.push import Push
from pyqueue.core.errors import ValidationError, WebhookNotFound
from pyqueue.core.options import NewJob
from pyqueue.core.store import positions, webhooks
from pyqueue.core.store.transaction import Transaction
from pyqueue.core.validate import shown
from pyqueue.core.webhook import QUEUE, Target, Webhook

# Each event is matched with all of them.
WEBHOOKS_MAX: Final = 1_000


class CreateWebhook(Struct, frozen=True):
    """Registers a webhook, which is told of what happens from now on. Raises ValidationError: there are too many."""

    id: str
    target: Target

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Webhook:
        if webhooks.count(tx) >= WEBHOOKS_MAX:
            raise ValidationError(f"there are {WEBHOOKS_MAX:,} webhooks; expected no more. Delete some.")
        webhooks.add(tx, self.id, self.target, positions.settled(tx))
        return require(tx, self.id)


class EditWebhook(Struct, frozen=True):
    """Changes some of what a webhook is. Raises WebhookNotFound."""

    id: str
    target: Target

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> Webhook:
        webhooks.edit(tx, self.id, self.target, positions.settled(tx))
        return require(tx, self.id)


class DeleteWebhook(Struct, frozen=True):
    """Removes a webhook; its deliveries end when their turn comes. Raises WebhookNotFound."""

    id: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> None:
        if not webhooks.delete(tx, self.id):
            raise _not_found(self.id)


class Ping(Struct, frozen=True):
    """Pushes a delivery to a webhook that is there. Gives the key of the job. Raises WebhookNotFound."""

    id: str
    delivery: NewJob

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> int:
        require(tx, self.id)
        [key] = Push(QUEUE, (self.delivery,)).run(tx)
        return key


class HandOver(Struct, frozen=True):
    """Pushes the deliveries of the events between two positions; False, and nothing done, if another process has.

    Raises:
        QueuePaused, RateLimited: the queue of deliveries takes none for now.
    """

    after: int
    to: int
    deliveries: tuple[NewJob, ...]

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> bool:
        if not webhooks.move_on(tx, self.after, self.to):
            return False
        if self.deliveries:
            Push(QUEUE, self.deliveries).run(tx)
        return True


class NoteDelivery(Struct, frozen=True):
    """Notes how a delivery has ended; too many failures in a row stop the webhook. Gives whether it is active."""

    id: str
    error: str | None
    failures_max: int

    durable: ClassVar[bool] = False

    def run(self, tx: Transaction) -> bool:
        if self.error is None:
            webhooks.note_success(tx, self.id)
        else:
            webhooks.note_failure(tx, self.id, self.error, self.failures_max)
        found = webhooks.get(tx, self.id)
        return found is not None and found.is_active


def require(tx: Transaction, webhook_id: str) -> Webhook:
    """The webhook. Raises WebhookNotFound."""
    found = webhooks.get(tx, webhook_id)
    if found is None:
        raise _not_found(webhook_id)
    return found


def _not_found(webhook_id: str) -> WebhookNotFound:
    return WebhookNotFound(f"no webhook has the id {shown(webhook_id)}; list_webhooks() names those there are.")
