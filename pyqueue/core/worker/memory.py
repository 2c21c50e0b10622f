"""How much memory this process holds."""

from __future__ import annotations

import os
import sys
from typing import Final

_STATM: Final = "/proc/self/statm"
IS_KNOWN: Final = os.path.exists(_STATM) or sys.platform != "win32"


def resident_mb() -> float | None:
    """What it holds now; where the system does not say, the most that it ever held; None where it says neither."""
    if os.path.exists(_STATM):
        with open(_STATM, encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    if sys.platform == "win32":
        return None
    import resource

    return peak_mb(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def peak_mb(maxrss: int) -> float:
    """What a system reports as `ru_maxrss`: bytes on macOS, elsewhere kilobytes."""
    return maxrss / (2**20 if sys.platform == "darwin" else 2**10)
