"""Finding finished jobs that have been kept long enough.

There is no index of finished jobs (each would pay for it at every ack). Keys are times of
creation, so the oldest jobs stand first in the table: a pass walks up from the lowest key and
ends at the first job that is too young to have ended long enough ago.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pyqueue.core import ids
from pyqueue.core.store.rows import padded_chunks, with_marks
from pyqueue.core.store.transaction import Transaction

_OLD: Final = """
    SELECT id, state, coalesce(updated_at, 0) FROM pyqueue_job WHERE id > ? AND id < ? ORDER BY id LIMIT ?
"""


_AGAIN: Final = "SELECT id, state, coalesce(updated_at, 0) FROM pyqueue_job WHERE id IN ({marks}) /*pg FOR UPDATE*/"


def outlived(tx: Transaction, *, after: int, keep_us: Mapping[int, int], examine: int) -> tuple[list[int], int | None]:
    """Looks at the next `examine` jobs by key after `after`.

    `keep_us` says for each finished state how long its jobs stay. Gives the keys of those that
    have stayed longer, and the key to go on after, or None at the end.
    """
    if not keep_us:
        return [], None
    youngest = ids.first_key(max(0, tx.now_us - min(keep_us.values())))
    rows = tx.rows(_OLD, (after, youngest, examine))
    return _of(rows, keep_us, tx.now_us), rows[-1][0] if len(rows) == examine else None


def still_outlived(tx: Transaction, keys: Sequence[int], keep_us: Mapping[int, int]) -> list[int]:
    """Those of `keys` of which that is still true: a job may have been retried since it was looked at."""
    rows = [row for chunk in padded_chunks(keys) for row in tx.rows(with_marks(_AGAIN, len(chunk)), chunk)]
    return _of(rows, keep_us, tx.now_us)


def _of(rows: Sequence[tuple[int, int, int]], keep_us: Mapping[int, int], now_us: int) -> list[int]:
    return [key for key, state, ended_us in rows if state in keep_us and ended_us < now_us - keep_us[state]]
