"""Pushing and acknowledging inside the caller's transaction on an event loop: SQLAlchemy's async sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from pyqueue import JobChange, JobState, PyQueue, signals
from pyqueue.core.errors import ConfigError, DuplicateKey
from tests.servers import split
from tests.waiting import eventually

Scenario = Callable[[AsyncEngine], Coroutine[Any, Any, None]]
DRIVERS = {"sqlite": ("aiosqlite",), "postgresql": ("psycopg", "asyncpg")}


@pytest.fixture
def run(path: Any, store_kind: str) -> Callable[[Scenario], None]:
    """Runs a scenario with an engine on the database of the queue, once for each async driver there is for it."""

    async def with_engine(driver: str, scenario: Scenario) -> None:
        if store_kind == "sqlite":
            engine = create_async_engine(f"sqlite+{driver}:///{path}")
        else:
            address, _ = split(path)
            engine = create_async_engine(address.replace("postgresql://", f"postgresql+{driver}://"))
        try:
            await scenario(engine)
        finally:
            await engine.dispose()

    def run_each(scenario: Scenario) -> None:
        for driver in DRIVERS[store_kind]:
            asyncio.run(with_engine(driver, scenario))

    return run_each


@asynccontextmanager
async def rolled_back(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine) as session:
        yield session
        await session.rollback()


def test_a_push_on_an_async_session_is_there_with_the_commit(path: Any, run: Any) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        with PyQueue(path) as queue:
            waiting = (await queue.astats("emails")).waiting
            async with AsyncSession(engine) as session, session.begin():
                job_id = await queue.on(session).apush("emails", "receipt", {"item": "tea"}, tags=["a"])
                several = await queue.on(session).apush_many("emails", [{"name": "n"}, {"name": "n"}])
                before = await queue.astats("emails")

            assert before.waiting == waiting
            assert (await queue.aget_job(job_id)).data == {"item": "tea"}
            assert (await queue.aget_job(job_id)).tags == ("a",)
            assert [(await queue.aget_job(one)).name for one in several] == ["n", "n"]

    run(scenario)


def test_a_push_on_an_async_session_goes_with_the_rollback(path: Any, run: Any) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        with PyQueue(path) as queue:
            await queue.apush("emails", "kept")
            async with rolled_back(engine) as session:
                await queue.on(session).apush("emails", "lost")

            assert [job.name for job in (await queue.alist_jobs(queue="emails", name="lost")).jobs] == []

    run(scenario)


@pytest.mark.sqlite("a schema exists before the tests of PostgreSQL")
def test_a_rollback_of_the_very_first_push_leaves_nothing(path: Any, run: Any) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        with PyQueue(path) as queue:
            async with rolled_back(engine) as session:
                await queue.on(session).apush("emails", "lost")

            assert (await queue.astats("emails")).waiting == 0

    run(scenario)


def test_an_ack_on_an_async_session_is_one_with_what_the_job_wrote(path: Any, run: Any) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        with PyQueue(path) as queue:
            await queue.apush_many("emails", [{"name": "a"}, {"name": "b"}])
            first, second = await queue.apull("emails", count=2)
            async with rolled_back(engine) as session:
                await queue.on(session).aack(first, {"sent": True})
            async with AsyncSession(engine) as session, session.begin():
                await queue.on(session).aack_many([(second, {"sent": True})])

            assert (await queue.aget_job(first)).state is JobState.ACTIVE
            assert (await queue.aget_job(second)).result == {"sent": True}
            await queue.aack(first)

    run(scenario)


def test_the_commit_of_an_async_session_is_told_to_those_who_listen(path: Any, run: Any) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        with PyQueue(path) as queue:
            heard: list[str] = []

            def note(_: PyQueue, change: JobChange) -> None:
                heard.append(change.job_id)

            with signals.job_pushed.connected_to(note, sender=queue):
                async with AsyncSession(engine) as session, session.begin():
                    job_id = await queue.on(session).apush("emails", "receipt")
                    assert heard == []

                assert eventually(lambda: heard) == [job_id]

    run(scenario)


def test_a_refused_push_leaves_the_async_transaction_usable(path: Any, run: Any) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        with PyQueue(path) as queue:
            key = engine.driver
            await queue.apush("emails", "first", unique_key=key)
            async with AsyncSession(engine) as session, session.begin():
                with pytest.raises(DuplicateKey):
                    await queue.on(session).apush("emails", "second", unique_key=key)
                job_id = await queue.on(session).apush("emails", "third")

            assert (await queue.aget_job(job_id)).name == "third"

    run(scenario)


def test_tasks_are_pushed_on_an_async_connection_too(path: Any, run: Any) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        with PyQueue(path) as queue:

            @queue.task
            def receipt(order: int) -> None: ...

            async with engine.begin() as connection:
                one = await receipt.on(connection).apush(1)
                two, three = await receipt.options(priority=5).on(connection).amap([2, 3])

            assert [(await queue.aget_job(job)).data["order"] for job in (one, two, three)] == [1, 2, 3]

    run(scenario)


def test_calls_that_do_not_go_with_the_connection_say_what_to_do(path: Any, run: Any) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        with PyQueue(path) as queue:
            await queue.astats("q")
            async with AsyncSession(engine) as session:
                with pytest.raises(ConfigError, match=r"await on\(session\)\.apush"):
                    queue.on(session).push("q", "n")

    run(scenario)


@pytest.mark.sqlite("the other way round needs a plain driver, and there is one for a file")
def test_a_plain_session_is_not_awaited(path: Any) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")

    with PyQueue(path) as queue, engine.connect() as connection:
        bound = queue.on(connection)

        with pytest.raises(ConfigError, match="AsyncSession"):
            asyncio.run(bound.apush("q", "n"))
    engine.dispose()
