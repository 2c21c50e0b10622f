"""Names for cases that are the same in every run, so that a run can be shared out among processes."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """The value as Python writes it, without the address of an object."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
