"""The law of the engine: whatever is done in whatever order, it does what the plain model does."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from peewee import PostgresqlDatabase

from tests import servers
from tests.properties.law import Law


class LawOnPostgres(Law):
    """The same in a schema of a PostgreSQL."""

    @staticmethod
    def storage() -> AbstractContextManager[str]:  # type: ignore[override]
        return servers.empty_schema()

    def connected(self) -> Any:
        address, schema = servers.split(self.path)
        parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(address)
        return PostgresqlDatabase(parts.pop("dbname"), options=f"-c search_path={schema}", **parts)

    def may_reopen(self) -> bool:
        """There no server's clock goes back from one process to the next: keys are made by it."""
        return not self.ids or self.clock.now_us() > self.latest_us

    @invariant()
    def note_the_latest_moment(self) -> None:
        if hasattr(self, "clock"):
            self.latest_us = max(getattr(self, "latest_us", 0), self.clock.now_us())


def _run(law: type[Law], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        law,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.timeout(600)  # A failure is shrunk for up to five minutes.
def test_random_operations_do_what_the_model_does() -> None:
    _run(Law, examples=250, steps=50)


@pytest.mark.timeout(600)
def test_random_operations_do_what_the_model_does_on_postgresql() -> None:
    _run(LawOnPostgres, examples=20, steps=40)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_random_operations_do_what_the_model_does() -> None:
    _run(Law, examples=1_500, steps=80)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_random_operations_do_what_the_model_does_on_postgresql() -> None:
    _run(LawOnPostgres, examples=500, steps=80)
