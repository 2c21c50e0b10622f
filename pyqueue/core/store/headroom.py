"""Room at the end of the write-ahead log.

To flush a file that has grown, the file system also has to write down its new length and blocks, which takes longer
than the flush of what is in it. So the log is made longer than it need be now and then, instead of with every commit.
"""

from __future__ import annotations

import os
from typing import Final

_STEP_BYTES: Final = 256 * 1024


def make_room(path: str) -> None:
    """Brings a log that has grown to a multiple of 256 KiB, with zeros: SQLite's own frames end where they begin.

    To be called in a write transaction, so that no other process writes to the log.
    """
    try:
        length = os.stat(path).st_size
        missing = -length % _STEP_BYTES
        if missing:
            with open(path, "r+b", buffering=0) as log:
                log.seek(length)
                log.write(bytes(missing))
    except OSError:
        return  # It grows by itself, or the commit will tell what is wrong.
