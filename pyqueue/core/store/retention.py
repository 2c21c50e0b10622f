"""Finding finished jobs that have been kept long enough.

There is no index of finished jobs (each would pay for it at every ack). Keys are times of
creation, so the oldest jobs stand first in the table: a pass walks up from the lowest key and
ends at the first job that is too young to have ended long enough ago.
"""

from __future__ import annotations

from typing import Final

from pyqueue.core import ids
from pyqueue.core.store.transaction import Transaction

_OLD: Final = """
    SELECT id, state, coalesce(updated_at, 0) FROM pyqueue_job WHERE id > ? AND id < ? ORDER BY id LIMIT ?
"""


def outlived(tx: Transaction, *, after: int, keep_us: dict[int, int], examine: int) -> tuple[list[int], int | None]:
    """Looks at the next `examine` jobs by key after `after`.

    `keep_us` says for each finished state how long its jobs stay. Gives the keys of those that
    have stayed longer, and the key to go on after, or None at the end.
    """
    if not keep_us:
        return [], None
    youngest = ids.first_key(max(0, tx.now_us - min(keep_us.values())))
    rows = tx.rows(_OLD, (after, youngest, examine))
    outlived_keys = [key for key, state, ended_us in rows if state in keep_us and ended_us < tx.now_us - keep_us[state]]
    return outlived_keys, rows[-1][0] if len(rows) == examine else None
