"""One TCP client: lines in, lines out, exactly one reply for each command, in the order of the commands.

Quick commands of one read become a `Plan`: they are committed together with those of other clients, and
their replies are written at once. A slow one (`tcp_slow`) waits for those before it, and holds back those
behind it: that is what an order of replies means.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from pyqueue.core.engine.looking import Places
from pyqueue.core.errors import JobNotFound, PyQueueError, ValidationError
from pyqueue.server import tcp_access, tcp_planners, tcp_slow
from pyqueue.server import tcp_commands as commands
from pyqueue.server import tcp_replies as replies
from pyqueue.server.tcp_commands import Refusal
from pyqueue.server.tcp_lines import Lines, readable
from pyqueue.server.tcp_plan import Plan
from pyqueue.web import reach
from pyqueue.web.request import About

if TYPE_CHECKING:
    from pyqueue.server.tcp import TcpServer

log = logging.getLogger(__name__)

# Reading stops while this much is unanswered: a client that only sends must not fill our memory.
_COMMANDS_MAX: Final = 1_024
_BYTES_MAX: Final = 8 * 1_048_576
# A client that is closed while it still sends may never see our last reply, so we first let it finish.
_LINGER_SECONDS: Final = 2.0


class _Slot:
    """The quick commands between two slow ones, and their replies once they are there."""

    __slots__ = ("commands", "lines", "plan", "size_bytes")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.commands = 0
        self.size_bytes = 0
        self.lines: list[bytes] | None = None


class Connection(asyncio.BufferedProtocol):
    """The protocol of one connection; its server commits what all connections have gathered."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._lines = Lines(server.line_bytes_max)
        self._grant = server.first_grant
        self._backlog: deque[bytes] = deque()  # received, and not begun
        self._slots: deque[_Slot] = deque()  # begun, and not answered
        self._slow: tuple[Any, int] | None = None  # the slow command whose turn is next, and its size
        self._task: asyncio.Task[None] | None = None  # … once it is at work
        self._unanswered, self._unanswered_bytes = 0, 0
        self._is_peer_slow = self._is_paused = False
        self._is_ending = self._has_client_ended = self._is_closing = self._is_lost = False
        self._last_word: bytes | None = None

    # --- what the event loop tells --------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins, unless there are too many already."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's.
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._server.register(self):
            self._end(replies.refused("TOO_MANY_CONNECTIONS", "the server has no room for more; try again later."))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop puts what it receives."""
        return self._lines.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Takes what was received."""
        if self._is_ending:
            self._lines.clear()  # Read only to be dropped, until the client has closed.
            return
        block = self._lines.take(nbytes)
        if block is not None:
            self._receive(block.split(b"\n"))
        elif self._lines.is_too_long:
            message = f"a line has more than {self._server.line_bytes_max:,} bytes; send less at once."
            self._end(replies.refused("PAYLOAD_TOO_LARGE", message))

    def eof_received(self) -> bool:
        """Answers what was asked, a last line without a line break too, before the connection is closed."""
        rest = self._lines.rest()
        if rest and not self._is_ending:
            self._receive([rest])
        self._has_client_ended = True
        self.drain()
        return self._transport.can_write_eof() and not self._is_closing

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of what was asked and not begun; what was begun is finished, and jobs taken are given back."""
        self._is_lost = self._is_ending = True
        self._backlog.clear()
        if self._task is not None:
            self._task.cancel()
        self._server.unregister(self)

    def pause_writing(self) -> None:
        """The client does not read its replies, so we take no more commands of it."""
        self._is_peer_slow = True
        self._balance()

    def resume_writing(self) -> None:
        self._is_peer_slow = False
        self._balance()

    def drain(self) -> None:
        """Takes nothing more, answers what was received, and closes. A long poll ends with what it has: nothing."""
        if self._task is not None and self._slow is not None and tcp_slow.waits(self._slow[0]):
            self._task.cancel()
        self._end()

    def abort(self) -> None:
        """Closes at once."""
        self._transport.abort()

    # --- from lines to operations ---------------------------------------------------------------

    def _receive(self, received: list[bytes]) -> None:
        lines = readable(received)
        self._backlog.extend(lines)
        self._unanswered += len(lines)
        self._unanswered_bytes += sum(map(len, lines))
        self._go_on()
        if len(lines) < len(received):
            self._end()  # What is not UTF-8 ends the connection, as the wire format has it.
        self._balance()

    def _go_on(self) -> None:
        """Begins all quick commands there are, or the slow one whose turn has come."""
        if self._backlog and self._slow is None:
            slot = _Slot(Plan(self._server.queue))
            self._fill(slot)
            slot.plan.finish()
            if slot.commands:
                self._slots.append(slot)
                self._server.submit(slot.plan.operations, partial(self._deliver, slot))
        if self._slots or self._task is not None:
            return
        if self._slow is not None:
            self._task = asyncio.get_running_loop().create_task(self._answer(*self._slow))
        elif self._is_ending:
            self._close()

    def _fill(self, slot: _Slot) -> None:
        """Plans commands until a slow one comes."""
        backlog = self._backlog
        while backlog:
            line = backlog.popleft()
            try:
                command = commands.parse(line)
                about = None if type(command) is commands.Auth else tcp_access.require(self._grant, command)
                if type(command) is commands.Auth or tcp_slow.is_slow(self._server.queue, command):
                    self._slow = command, len(line)
                    return
            except (Refusal, ValidationError) as refusal:
                slot.plan.say(replies.error(refusal))
            else:
                if about is None:
                    tcp_planners.add(slot.plan, command)
                else:
                    tcp_planners.add_checked(slot.plan, command, *self._checked(about))
            slot.commands += 1
            slot.size_bytes += len(line)

    async def _answer(self, command: Any, size_bytes: int) -> None:
        """Does a slow command, and goes on with what has waited behind it."""
        try:
            line = self._admit(command) if type(command) is commands.Auth else await self._take_time(command)
        except asyncio.CancelledError:
            if self._is_lost:
                raise
            line = tcp_slow.cut_short(command)
        except Exception as error:  # The top of a connection: nothing is above that could answer.
            line = replies.error(error)
        self._slow = self._task = None
        self._write([line], 1, size_bytes)
        self._go_on()
        self._balance()

    def _admit(self, command: commands.Auth) -> bytes:
        self._grant = tcp_access.admitted(self._server.admit, command.token, self._peer)
        return replies.OK

    async def _take_time(self, command: Any) -> bytes:
        queue = self._server.queue
        about = tcp_access.require(self._grant, command)
        if about is not None:
            ids, check = self._checked(about)
            try:
                check(await queue.aplaces_of(ids, about.schedule))
            except PyQueueError as trouble:
                # `get` has a code of its own for a job that does not exist.
                return replies.not_found(trouble) if isinstance(trouble, JobNotFound) else replies.error(trouble)
        return await tcp_slow.answer(queue, command, may_wait=not self._is_ending)

    def _checked(self, about: About) -> tuple[tuple[str, ...], Callable[[Places], Collection[str]]]:
        """The jobs to be looked up, and what then judges."""
        assert self._grant is not None
        return reach.jobs_of(about), partial(tcp_access.require_places, self._grant, about)

    # --- from outcomes to replies ------------------------------------------------------------------

    def _deliver(self, slot: _Slot, outcomes: Sequence[Any]) -> None:
        """Writes the replies that are there and whose turn it is."""
        if self._is_lost:
            self._server.submit(list(slot.plan.undone(outcomes)), lambda _: None)
            return
        slot.lines = slot.plan.lines(outcomes)
        while self._slots and (lines := self._slots[0].lines) is not None:
            done = self._slots.popleft()
            self._write(lines, done.commands, done.size_bytes)
        self._go_on()
        self._balance()

    def _write(self, lines: list[bytes], answered: int, size_bytes: int) -> None:
        self._unanswered -= answered
        self._unanswered_bytes -= size_bytes
        lines.append(b"")
        self._transport.write(b"\n".join(lines))

    def _balance(self) -> None:
        """Reads on, or stops reading, as much as is unanswered."""
        is_full = self._unanswered > _COMMANDS_MAX or self._unanswered_bytes > _BYTES_MAX
        pauses = (self._is_peer_slow or is_full) and not self._is_ending
        if pauses != self._is_paused and not self._is_lost:
            self._is_paused = pauses
            if pauses:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # --- the end ---------------------------------------------------------------------------------

    def _end(self, last_word: bytes | None = None) -> None:
        if not self._is_ending:
            self._is_ending, self._last_word = True, last_word
            self._go_on()
            self._balance()

    def _close(self) -> None:
        if self._is_closing or self._is_lost:
            return
        self._is_closing = True
        if self._last_word is not None:
            self._transport.write(self._last_word + b"\n")
        if self._has_client_ended or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)
