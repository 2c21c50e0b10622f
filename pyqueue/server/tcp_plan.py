"""What the commands of one read come to: operations to be committed together, and a reply for each command.

Neighbours of one kind become one operation: plain pushes to one queue, acknowledgements. Both answer for each
of their items, so nobody can tell; but it is why one connection can push a hundred thousand jobs a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from pyqueue.core.engine.finish import Ack, Acked
from pyqueue.core.engine.push_each import PushEach
from pyqueue.core.errors import PyQueueError
from pyqueue.core.handle.serving import Serving
from pyqueue.core.options import NewJob
from pyqueue.core.store.operation import Operation
from pyqueue.server import tcp_replies as replies

# Of neighbours made one operation: what is committed together holds the write lock until all of it is done.
_RUN_MAX: Final = 500


class _Answer(NamedTuple):
    """How many commands the next outcome answers, and the lines it is told in unless it is an error."""

    commands: int
    lines: Callable[[Any], list[bytes]]


class Plan:
    """Operations in the order of their commands, and what makes lines of their outcomes."""

    def __init__(self, queue: Serving) -> None:
        self.queue = queue
        self.operations: list[Operation[Any]] = []
        self._answers: list[bytes | _Answer] = []  # bytes: known before anything is done
        self._push_queue = ""
        self._pushes: list[NewJob] = []
        self._acks: list[Acked] = []

    def say(self, line: bytes) -> None:
        """A reply that waits for nothing but those before it."""
        self.finish()
        self._answers.append(line)

    def do(self, operation: Operation[Any], line: Callable[[Any], bytes]) -> None:
        """One operation for one command."""
        self.finish()
        self._put(operation, 1, lambda outcome: [line(outcome)])

    def push(self, queue: str, job: NewJob) -> None:
        """A plain push, together with its neighbours if they go to the same queue."""
        if self._acks or self._push_queue != queue or len(self._pushes) >= _RUN_MAX:
            self.finish()
            self._push_queue = queue
        self._pushes.append(job)

    def ack(self, acked: Acked) -> None:
        """An acknowledgement, together with its neighbours."""
        if self._pushes or len(self._acks) >= _RUN_MAX:
            self.finish()
        self._acks.append(acked)

    def include(self, other: Plan, wrap: Callable[[Operation[Any]], Operation[Any]]) -> None:
        """All of another plan, which is finished, with its operations wrapped."""
        self.finish()
        self.operations += map(wrap, other.operations)
        self._answers += other._answers

    def finish(self) -> None:
        """Makes an operation of the neighbours gathered so far."""
        if self._pushes:
            pushes, self._pushes = tuple(self._pushes), []
            self._put(PushEach(self._push_queue, pushes), len(pushes), self._pushed)
        elif self._acks:
            acks, self._acks = tuple(self._acks), []
            self._put(Ack(acks), len(acks), _acknowledged)

    def lines(self, outcomes: Sequence[Any]) -> list[bytes]:
        """The replies, in the order of the commands."""
        lines: list[bytes] = []
        remaining = iter(outcomes)
        for answer in self._answers:
            if isinstance(answer, bytes):
                lines.append(answer)
                continue
            outcome = next(remaining)
            if isinstance(outcome, BaseException):
                lines += [replies.error(outcome)] * answer.commands
            else:
                lines += answer.lines(outcome)
        return lines

    def undone(self, outcomes: Sequence[Any]) -> Iterator[Operation[Any]]:
        """What takes back the operations whose results nobody will get."""
        for operation, outcome in zip(self.operations, outcomes, strict=True):
            undo = getattr(operation, "undo", None)
            if undo is not None and not isinstance(outcome, BaseException):
                yield from undo(outcome)

    def _put(self, operation: Operation[Any], commands: int, lines: Callable[[Any], list[bytes]]) -> None:
        self.operations.append(operation)
        self._answers.append(_Answer(commands, lines))

    def _pushed(self, outcomes: Sequence[int | PyQueueError]) -> list[bytes]:
        ids = iter(self.queue.ids_of([each for each in outcomes if isinstance(each, int)]))
        return [replies.pushed_one(next(ids)) if isinstance(each, int) else replies.error(each) for each in outcomes]


def _acknowledged(errors: Sequence[PyQueueError | None]) -> list[bytes]:
    return [replies.OK if error is None else replies.error(error) for error in errors]
