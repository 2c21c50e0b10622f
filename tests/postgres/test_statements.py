"""The connection breaks, or the call is interrupted, at statement n of each operation: all or nothing, every time.

A backend that dies is not noticed: nothing was kept, or all, and the operation is run again if it has to be.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg
import pytest

from pyqueue import PyQueue
from pyqueue.core.store.postgres import connection as store_connection
from pyqueue.core.store.postgres.statements import Answer, Statements
from pyqueue.testing import FakeClock
from tests import servers
from tests.crash.faults import assert_sound
from tests.crash.scenarios import LATER, SCENARIOS, Prepared, prepare

# The tables without what differs from run to run: keys, positions and moments.
_DIGEST = {
    "jobs": "SELECT queue, name, state, attempt, blocked_by, on_finish, unique_key, limit_key, slot, flow_id"
    " FROM pyqueue_job",
    "events": "SELECT event, queue, source, state, jobs FROM pyqueue_event",
    "limits": "SELECT queue, kind, limit_key FROM pyqueue_limit",
    "schedules": "SELECT name, every_ms FROM pyqueue_schedule",
    "attempts": "SELECT number, error FROM pyqueue_attempt",
    "tags": "SELECT tag FROM pyqueue_tag",
}
Digest = dict[str, Counter[Any]]


@dataclass
class Fault:
    """Strikes at statement `number` of the calling thread's connections."""

    strike: Callable[[Any], None]
    number: int
    seen: int = 0


class FaultyStatements(Statements):
    """Statements among which the fault that is set strikes, before the one that it counts to."""

    fault: ClassVar[Fault | None] = None

    def run(self, sql: str, params: Any, **around: Any) -> Answer:
        self._count()
        return super().run(sql, params, **around)

    def run_plain(self, sql: bytes) -> None:
        if not sql.startswith(b"ROLLBACK"):
            self._count()
        super().run_plain(sql)

    def _count(self) -> None:
        fault = FaultyStatements.fault
        if fault is not None:
            fault.seen += 1
            if fault.seen == fault.number:
                fault.strike(self._connection)


def terminate(connection: psycopg.Connection[Any]) -> None:
    """Ends the backend of a connection, which learns of it at its next statement."""
    url = servers.server_url()
    assert url is not None
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])


def interrupt(_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_connection, "Statements", FaultyStatements)


def test_a_lost_connection_or_an_interrupt_at_a_drawn_statement_leaves_all_or_nothing() -> None:
    for name in random.sample(sorted(SCENARIOS), 8):
        total, before, after = _undisturbed(name)
        _lose(name, random.randint(1, total), after)
        _interrupt(name, random.randint(1, total), before, after)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_lost_connection_or_an_interrupt_at_each_statement_leaves_all_or_nothing(name: str) -> None:
    total, before, after = _undisturbed(name)
    for number in range(1, total + 1):
        _lose(name, number, after)
        _interrupt(name, number, before, after)


def _lose(name: str, number: int, after: Digest) -> None:
    with _prepared(name) as (url, queue, prepared):
        with _armed(Fault(terminate, number)):
            SCENARIOS[name](queue, prepared)

        assert _digest(url) == after, f"{name}: connection lost at statement {number}"
        assert_sound(url)


def _interrupt(name: str, number: int, before: Digest, after: Digest) -> None:
    with _prepared(name) as (url, queue, prepared):
        with _armed(Fault(interrupt, number)), pytest.raises(KeyboardInterrupt):
            SCENARIOS[name](queue, prepared)

        found = _digest(url)
        is_one = found in (before, after) or name in _OF_SEVERAL
        assert is_one, f"{name}: interrupted at statement {number}"
        assert_sound(url)
        assert queue.push("another", "job")


# They commit more than once: in between only what holds always is looked at.
_OF_SEVERAL = ("purge of everything", "purge", "retry_dlq", "housekeep", "removal of old jobs", "firing of schedules")


def _undisturbed(name: str) -> tuple[int, Digest, Digest]:
    """How many statements a scenario has, and the tables before and after it."""
    with _prepared(name) as (url, queue, prepared):
        before = _digest(url)
        with _armed(Fault(interrupt, 0)) as fault:
            SCENARIOS[name](queue, prepared)
        return fault.seen, before, _digest(url)


@contextmanager
def _prepared(name: str) -> Iterator[tuple[str, PyQueue, Prepared]]:
    with servers.empty_schema() as url:
        clock = FakeClock()
        with PyQueue(url, clock=clock) as queue:
            prepared = prepare(queue, clock)
        clock.advance(ms=1_000 * LATER.get(name, 0) + 2)
        with PyQueue(url, clock=clock) as queue:
            queue.stats("q")
            yield url, queue, prepared


@contextmanager
def _armed(fault: Fault) -> Iterator[Fault]:
    FaultyStatements.fault = fault
    try:
        yield fault
    finally:
        FaultyStatements.fault = None


def _digest(url: str) -> Digest:
    address, schema = servers.split(url)
    with psycopg.connect(address, autocommit=True, options=f"-c search_path={schema}") as connection:
        return {what: Counter(connection.execute(sql.encode()).fetchall()) for what, sql in _DIGEST.items()}
