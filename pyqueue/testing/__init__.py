"""For tests of code that uses pyqueue: the real engine in memory, a clock to move, and assertions."""

from __future__ import annotations

from pyqueue.testing.clock import FakeClock
from pyqueue.testing.eager import eager
from pyqueue.testing.memory import in_memory
from pyqueue.testing.pushed import assert_pushed

__all__ = ["FakeClock", "assert_pushed", "eager", "in_memory"]
