"""The order of the event log: how far it is settled.

On SQLite transactions write one after another, and the newest row says it. On PostgreSQL they commit in another
order than that in which they got their positions: a reader that has gone past a position must be sure that nobody
will still commit a lower one. So a writer, before it takes positions, shares an advisory lock whose key says where
the sequence stood (`store.events`); what is below all such locks, and not beyond the sequence, is settled.
"""

from __future__ import annotations

from typing import Final

from pyqueue.core.store.transaction import Transaction

# The sequence is read before the locks: who takes his after this look gets a position beyond it. The key has
# 31 bits; how far the lock lies behind the sequence makes it whole. It may also lie a little before it, since the
# sequence goes on while we look: so the distance is a number with a sign, of 31 bits too.
_SETTLED: Final = """
    SELECT /*lite*/coalesce(max(position), 0) FROM pyqueue_event/*pg
        least(sequence.last_value, (
            SELECT min(sequence.last_value + 1073741824
                - ((sequence.last_value - objid::bigint + 1073741824) & 2147483647)) FROM pg_locks
            WHERE locktype = 'advisory' AND classid = 'pyqueue_position'::regclass AND objsubid = 2
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ))
        FROM pyqueue_position AS sequence*/
"""


def settled(tx: Transaction) -> int:
    """The highest position below which, itself included, nothing will be committed any more; 0 for none."""
    return int(tx.row(_SETTLED)[0])
