"""The TCP server as a process of its own, with the real store or with one that does nothing: the ceiling.

`python -m bench.tcp_server FILE DURABILITY`, or `python -m bench.tcp_server nothing`; prints the port.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from pyqueue import PyQueue
from pyqueue.core import ids
from pyqueue.core.engine.finish import Ack
from pyqueue.core.engine.pull import PullToPassOn
from pyqueue.core.engine.push import Push
from pyqueue.core.engine.push_each import PushEach
from pyqueue.core.engine.taken import Taken
from pyqueue.core.options import NewJob
from pyqueue.core.store.claim import ReadyRow
from pyqueue.server.serve import loop_factory
from pyqueue.server.tcp import TcpServer

_SALT = 12_345
_NOW_US = 1_790_000_000_000_000


class Nothing:
    """In place of a queue: keeps what was pushed in a list, and forgets what was pulled. Nothing is stored."""

    lease_ms = 30_000
    has_push_hooks = False
    max_flow_depth = 50

    def __init__(self) -> None:
        self._key = ids.first_key(_NOW_US)
        self._waiting: deque[tuple[int, NewJob]] = deque()

    def ids_of(self, keys: Sequence[int]) -> list[str]:
        return ids.to_texts(keys, _SALT)

    def keys_or_ids(self, job_ids: Sequence[str]) -> list[int]:
        return ids.to_keys(job_ids, _SALT)

    def submit_all(self, operations: Sequence[Any], deliver: Callable[[list[Any]], None]) -> None:
        deliver([self._outcome(operation) for operation in operations])

    def _outcome(self, operation: Any) -> Any:
        if isinstance(operation, Push | PushEach):
            keys = range(self._key, self._key + len(operation.jobs))
            self._key = keys.stop
            self._waiting.extend(zip(keys, operation.jobs, strict=True))
            return keys
        if isinstance(operation, PullToPassOn):
            rows = [_row(*self._waiting.popleft()) for _ in range(min(operation.count, len(self._waiting)))]
            return Taken(_SALT, operation.queues[0], rows, {}, _NOW_US, _NOW_US + 30_000_000, None)
        assert isinstance(operation, Ack)
        return [ref.key(cast("Any", self)) and None for ref, _ in operation.items]

    def key_of(self, job_id: str) -> int:
        return ids.to_key(job_id, _SALT)


def _row(key: int, job: NewJob) -> ReadyRow:
    return key, job.name, 0, job.data_json, 0, 3, 2, 1_000, 0, 0, 0


async def serve(queue: PyQueue) -> None:
    server = TcpServer(queue)
    await server.start("127.0.0.1", 0)
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    stored = cast("PyQueue", Nothing()) if sys.argv[1] == "nothing" else PyQueue(sys.argv[1], durability=sys.argv[2])
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(stored))
