"""The TCP listener: newline-delimited JSON, as RustQueue's clients speak it and docs/protocol.md describes it.

    server = TcpServer(queue)
    await server.start("127.0.0.1", 6789)
    …
    await server.drain(10)

What the connections ask for within one turn of the event loop is committed together: 64 clients that push at
the same time share one transaction, and one flush of the disk.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from pyqueue.core.errors import PyQueueError
from pyqueue.core.queue import PyQueue
from pyqueue.core.store.operation import Operation
from pyqueue.server.tcp_access import Admit
from pyqueue.server.tcp_connection import Connection
from pyqueue.web.request import EVERYTHING, Grant

log = logging.getLogger(__name__)

PORT: Final = 6789
LINE_BYTES_MAX: Final = 4 * 1_048_576
CONNECTIONS_MAX: Final = 4_096
_BACKLOG: Final = 1_024

_Deliver = Callable[[Sequence[Any]], None]
# What was committed together, its outcomes, and how many seconds that took.
Watch = Callable[[Sequence[Operation[Any]], Sequence[Any], float], None]


class TcpServer:
    """Serves one queue on one address. `admit` knows the tokens (None: none is needed); `tls` makes it TLS;
    `watch` is told of what was committed."""

    def __init__(
        self,
        queue: PyQueue,
        *,
        admit: Admit | None = None,
        tls: ssl.SSLContext | None = None,
        watch: Watch | None = None,
        line_bytes_max: int = LINE_BYTES_MAX,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self.queue = queue
        self.admit = admit
        self.first_grant: Grant | None = EVERYTHING if admit is None else None
        self.line_bytes_max = line_bytes_max
        self._tls = tls
        self._watch = watch
        self._connections_max = connections_max
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._gathered: list[tuple[Sequence[Operation[Any]], _Deliver]] = []
        self._all_gone = asyncio.Event()

    @property
    def port(self) -> int:
        """The port it listens on, once started: the one the system chose if it was started on 0."""
        assert self._listener is not None
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def start(self, host: str, port: int = PORT) -> None:
        """Listens. Raises OSError where that is not possible."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._listener = await loop.create_server(
            lambda: Connection(self), host, port, ssl=self._tls, backlog=_BACKLOG, reuse_address=True
        )

    async def drain(self, seconds: float) -> None:
        """Takes no new connections and no more commands, answers what was received, and closes.

        Connections that are not done within `seconds` are cut.
        """
        if self._listener is not None:
            self._listener.close()
        for connection in tuple(self._connections):
            connection.drain()
        if self._connections:
            self._all_gone.clear()
            try:
                await asyncio.wait_for(self._all_gone.wait(), seconds)
            except TimeoutError:
                log.warning("connections cut at shutdown", extra={"connections": len(self._connections)})
        await self.close()

    async def close(self) -> None:
        """Closes at once. Commands that were begun are committed or not; none is half done."""
        if self._listener is not None:
            self._listener.close()
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # The loop tells the connections that they are lost.

    # --- for the connections -----------------------------------------------------------------------

    def register(self, connection: Connection) -> bool:
        """Takes in a new connection; False if there is no room, so that it only gets to hear that."""
        self._connections.add(connection)
        return len(self._connections) <= self._connections_max

    def unregister(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()

    def submit(self, operations: Sequence[Operation[Any]], deliver: _Deliver) -> None:
        """Has operations committed together with those that others submit in this turn of the loop."""
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append((operations, deliver))

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        operations = [operation for each, _ in gathered for operation in each]
        began = time.perf_counter()

        def deliver(outcomes: Sequence[Any]) -> None:
            if self._watch is not None:
                self._watch(operations, outcomes, time.perf_counter() - began)
            start = 0
            for each, deliver_one in gathered:
                self._tell(deliver_one, outcomes[start : start + len(each)])
                start += len(each)

        try:
            self.queue.submit_all(operations, deliver)
        except PyQueueError as error:  # The queue was closed under us.
            deliver([error] * len(operations))

    def _tell(self, deliver: _Deliver, outcomes: Sequence[Any]) -> None:
        try:
            deliver(outcomes)
        except Exception:  # A fault of ours with one client must not leave the others without their replies.
            log.exception("a connection failed on the outcome of its commands")
