"""pgqueuer: pushed to by psycopg, worked by asyncpg, as its documentation has it first."""

from __future__ import annotations

import asyncio
import os
import struct

import asyncpg
import psycopg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, SyncPsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries, SyncQueries

from bench.peer import jobs
from bench.peer.counting import count_of

_connection = psycopg.connect(os.environ["BENCH_FILE"], autocommit=True)
_queries = SyncQueries(SyncPsycopgDriver(_connection))


async def work() -> None:
    """A worker. (`pgq run` of 1.6 does not start with a recent typer.)"""
    connection = await asyncpg.connect(os.environ["BENCH_FILE"])
    queuer = PgQueuer.from_asyncpg_connection(connection)

    @queuer.entrypoint("noop")
    async def noop(job: Job) -> None:
        """Nothing."""

    @queuer.entrypoint("stamp")
    async def stamp(job: Job) -> None:
        jobs.stamp(*struct.unpack("i", job.payload or b""))

    await queuer.run()


def install() -> None:
    """Makes the tables."""

    async def run() -> None:
        connection = await asyncpg.connect(os.environ["BENCH_FILE"])
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    asyncio.run(run())


def push_noop() -> None:
    _queries.enqueue("noop", None)


def push_batch(count: int) -> None:
    """All in one call."""
    _queries.enqueue(["noop"] * count, [None] * count, [0] * count)


def push_stamp(port: int) -> None:
    _queries.enqueue("stamp", struct.pack("i", port))


def unfinished() -> int:
    """Jobs that are not done."""
    return count_of("SELECT count(*) FROM pgqueuer")


if __name__ == "__main__":
    asyncio.run(work())
