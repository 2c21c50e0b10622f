"""The TCP server as a process of its own, with the real store or with one in its place.

`python -m bench.tcp_server FILE DURABILITY`, or `python -m bench.tcp_server nothing`, or
`python -m bench.tcp_server bare FILE DURABILITY` (see `bench.tcp_stores`); prints the port.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

from bench.tcp_stores import Bare, Nothing
from pyqueue import PyQueue
from pyqueue.server.serve import loop_factory
from pyqueue.server.tcp import TcpServer


def stored(arguments: list[str]) -> PyQueue:
    """What the arguments ask for."""
    match arguments:
        case ["nothing"]:
            return cast("PyQueue", Nothing())
        case ["bare", path, durability]:
            return cast("PyQueue", Bare(path, durability))
        case _:
            path, durability = arguments
            return PyQueue(path, durability=durability)


async def serve(queue: PyQueue) -> None:
    server = TcpServer(queue)
    await server.start("127.0.0.1", 0)
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(stored(sys.argv[1:])))
