"""What PostgreSQL needs beyond the tables: DDL for the steps of `store.migrations`."""

from __future__ import annotations

from typing import Final

# Keys and positions come from sequences, since transactions run side by side (`store.postgres`, `store.positions`).
# The index of waiting jobs ends with the key by name, which on SQLite ends every index.
SEQUENCES: Final = (
    "CREATE SEQUENCE pyqueue_key",
    "CREATE SEQUENCE pyqueue_position MINVALUE 0",
    "SELECT setval('pyqueue_position', 0)",
    "DROP INDEX pyqueue_job_ready",
    "CREATE INDEX pyqueue_job_ready ON pyqueue_job (queue, priority DESC, rank, id) WHERE state = 0",
)

# Each job leaves two or three dead rows. By default a table of ten million finished jobs would collect two million
# of them before it is vacuumed, and the claims walk over those at the head of their index. No update of a job can
# be done in its page (HOT: measured, 0 of 6,000), since the state is in the predicates of the indexes: room in the
# pages (fillfactor) would be wasted on that table, but saves the small ones, which are updated in place.
SETTINGS: Final = (
    "ALTER TABLE pyqueue_job SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,"
    " autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)",
    "ALTER TABLE pyqueue_event SET (autovacuum_vacuum_scale_factor = 0.05)",
    *(
        f"ALTER TABLE pyqueue_{name} SET (fillfactor = 50, autovacuum_vacuum_threshold = 200)"
        for name in ("meta", "lease", "listener", "queue", "count", "bucket", "worker", "schedule")
    ),
)
