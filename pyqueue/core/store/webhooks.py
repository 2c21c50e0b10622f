"""Webhooks, and how far the log was looked through for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pyqueue.core.store.transaction import Transaction
from pyqueue.core.webhook import Target, Webhook

_COLUMNS: Final = "id, url, events, queues, secret, is_active, since, failures, last_error, created_at, updated_at"
_ALL: Final = f"SELECT {_COLUMNS} FROM pyqueue_webhook ORDER BY created_at, id"
_GET: Final = f"SELECT {_COLUMNS} FROM pyqueue_webhook WHERE id = ?"
_COUNT: Final = "SELECT count(*) FROM pyqueue_webhook"
_ADD: Final = """
    INSERT INTO pyqueue_webhook (id, url, events, queues, secret, since, created_at, updated_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
# Made active again, it is told from then on, and with a clean slate.
_EDIT: Final = """
    UPDATE pyqueue_webhook
    SET url = coalesce(?, url), events = coalesce(?, events), queues = coalesce(?, queues),
        secret = nullif(coalesce(?, secret), ''),
        since = CASE WHEN is_active = 0 AND ? = 1 THEN ? ELSE since END,
        failures = CASE WHEN ? = 1 THEN 0 ELSE failures END,
        is_active = coalesce(?, is_active), updated_at = ?
    WHERE id = ?
"""
_DELETE: Final = "DELETE FROM pyqueue_webhook WHERE id = ?"
_NOTE_SUCCESS: Final = "UPDATE pyqueue_webhook SET failures = 0, last_error = NULL WHERE id = ?"
_NOTE_FAILURE: Final = """
    UPDATE pyqueue_webhook
    SET failures = failures + 1, last_error = ?, is_active = CASE WHEN failures + 1 >= ? THEN 0 ELSE is_active END
    WHERE id = ?
"""
_HANDED_TO: Final = "SELECT value FROM pyqueue_meta WHERE key = 'webhooks_to'"
# Of several servers that looked at the same events one comes first, and the others find nothing left to do.
_MOVE_ON: Final = """
    INSERT INTO pyqueue_meta (key, value) VALUES ('webhooks_to', ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE pyqueue_meta.value = ?
    RETURNING value
"""


def all_of_them(tx: Transaction) -> list[Webhook]:
    """Every webhook, oldest first."""
    return [_of_row(row) for row in tx.rows(_ALL)]


def get(tx: Transaction, webhook_id: str) -> Webhook | None:
    row = tx.row(_GET, (webhook_id,))
    return None if row is None else _of_row(row)


def count(tx: Transaction) -> int:
    return int(tx.row(_COUNT)[0])


def add(tx: Transaction, webhook_id: str, target: Target, since: int) -> None:
    lists = (_json(target.events or ()), _json(target.queues or ()))
    tx.execute(_ADD, (webhook_id, target.url, *lists, target.secret or None, since, tx.now_us, tx.now_us))


def edit(tx: Transaction, webhook_id: str, target: Target, since: int) -> None:
    """Changes what is given."""
    active = None if target.is_active is None else int(target.is_active)
    lists = (_json(target.events), _json(target.queues))
    moments = (active or 0, since, active or 0, active, tx.now_us)
    tx.execute(_EDIT, (target.url, *lists, target.secret, *moments, webhook_id))


def delete(tx: Transaction, webhook_id: str) -> bool:
    return tx.execute(_DELETE, (webhook_id,)).rowcount > 0


def note_success(tx: Transaction, webhook_id: str) -> None:
    tx.execute(_NOTE_SUCCESS, (webhook_id,))


def note_failure(tx: Transaction, webhook_id: str, error: str, failures_max: int) -> None:
    """Counts a delivery that was given up; so many in a row make the webhook inactive."""
    tx.execute(_NOTE_FAILURE, (error, failures_max, webhook_id))


def handed_to(tx: Transaction) -> int:
    """The position of the log up to which deliveries were pushed; 0 for none."""
    row = tx.row(_HANDED_TO)
    return 0 if row is None else int(row[0])


def move_on(tx: Transaction, after: int, to: int) -> bool:
    """Moves that position on from where the caller has found it; False if another was faster."""
    return tx.row(_MOVE_ON, (to, after)) is not None


def _json(names: Sequence[str] | None) -> str | None:
    return None if names is None else msgspec.json.encode(names).decode()


def _of_row(row: Sequence[Any]) -> Webhook:
    webhook_id, url, events, queues, secret, is_active, since, failures, last_error, created_us, updated_us = row
    return Webhook(
        id=webhook_id,
        url=url,
        events=tuple(msgspec.json.decode(events)),
        queues=tuple(msgspec.json.decode(queues)),
        secret=secret,
        is_active=bool(is_active),
        since=since,
        failures=failures,
        last_error=last_error,
        created_us=created_us,
        updated_us=updated_us,
    )
