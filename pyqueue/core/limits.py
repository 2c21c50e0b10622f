"""Every limit in one place, each with its reason. Sizes in bytes of UTF-8, times in milliseconds."""

from __future__ import annotations

from typing import Final

# --- what the wire format promises to its clients --------------------------------------------
QUEUE_NAME_BYTES_MAX: Final = 256
JOB_NAME_BYTES_MAX: Final = 1_024
DATA_BYTES_MAX: Final = 1_048_576
METADATA_BYTES_MAX: Final = 65_536
UNIQUE_KEY_BYTES_MAX: Final = 1_024
ERROR_BYTES_MAX: Final = 10_240

# --- what the wire format leaves open; without a limit one caller can fill the disk -----------
RESULT_BYTES_MAX: Final = DATA_BYTES_MAX
TAGS_MAX: Final = 64
TAG_BYTES_MAX: Final = 256
LABEL_BYTES_MAX: Final = 256  # custom_id, group_id, flow_id, worker_id
WORKER_NAME_BYTES_MAX: Final = 200  # the random part of its id comes behind it
MESSAGE_BYTES_MAX: Final = 4_096  # of one progress message
LOGS_MAX: Final = 1_000  # per job; the oldest go first
PARENTS_MAX: Final = 10_000  # depends_on of one job, in one call; a batch may have more members
FLOW_DEPTH_MAX: Final = 1_000_000  # of a limit that somebody sets; there is none by default
STEPS_MAX: Final = 1_000  # per job: each is looked up by its name, and all are kept with the job

# --- numbers ------------------------------------------------------------------------------------
PRIORITY_MAX: Final = 2**31 - 1  # int32 on the wire
ATTEMPTS_MAX: Final = 2**32 - 1  # uint32 on the wire
# A hundred years: far beyond any real delay, far below what a 64-bit microsecond clock can hold.
DURATION_MS_MAX: Final = 100 * 365 * 24 * 3_600_000
# An exponential backoff reaches a day after 17 failures; waiting longer helps nobody.
BACKOFF_MS_MAX: Final = 24 * 3_600_000
LEASE_MS_MIN: Final = 10
LEASE_MS_MAX: Final = 24 * 3_600_000
LEASE_MS_DEFAULT: Final = 30_000
WAIT_MS_MAX: Final = 24 * 3_600_000

# Of limits that users set: beyond what one machine runs, and small enough that no sum of intervals overflows.
CONCURRENCY_MAX: Final = 1_000_000
BURST_MAX: Final = 1_000_000

# --- batches --------------------------------------------------------------------------------------
# One transaction holds the write lock: a claim of more jobs would keep the others waiting.
PULL_COUNT_MAX: Final = 10_000
# SQLite allows 32,766 bound values in a statement; the widest row we bind has 25.
ROWS_PER_STATEMENT: Final = 500
# Ends of jobs handled in one housekeeping transaction, so that pushes pass between two of them.
SWEEP_CHUNK: Final = 500
LIST_LIMIT_MAX: Final = 1_000
# A drain of a test that has not come to an end by then never will.
DRAIN_RUNS_MAX: Final = 10_000


# --- schedules ------------------------------------------------------------------------------------
SCHEDULE_NAME_BYTES_MAX: Final = 256
# Moments that come closer than this are run together: each firing is a transaction with a sync.
EVERY_MS_FLOOR: Final = 100
# A moment is missed, and left to the misfire policy "skip", when it is this late: well above the
# seconds that another process needs to take over the housekeeping.
MISFIRE_GRACE_MS: Final = 60_000
BACKFILL_MAX: Final = 1_000
BACKFILL_DEFAULT: Final = 10
SCHEDULE_RUNS_KEPT: Final = 20  # of each schedule, to be shown and to judge overlap by
FIRE_CHUNK: Final = 100  # schedules fired in one transaction
