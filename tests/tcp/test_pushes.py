"""Pushes over TCP are pushes of the handle: its hooks see them, and its limit on chains holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pyqueue import PyQueue
from pyqueue.core.handle.pushing import Pushing
from pyqueue.server.tcp import TcpServer
from tests.tcp.clients import Client


@asynccontextmanager
async def serving(queue: PyQueue) -> AsyncIterator[int]:
    """A server on the handle, in this process; its port."""
    server = TcpServer(queue)
    await server.start("127.0.0.1", 0)
    try:
        yield server.port
    finally:
        await server.drain(5)


def calls(port: int, *commands: dict[str, Any]) -> list[dict[str, Any]]:
    with Client(port) as client:
        return [client.ask(json.dumps(command).encode()) for command in commands]


def test_hooks_of_wrap_push_surround_each_push(path: Path) -> None:
    seen: list[tuple[list[str], list[str]]] = []
    commands = (
        {"cmd": "push", "queue": "q", "name": "plain"},
        {"cmd": "push", "queue": "q", "name": "rich", "priority": 3, "metadata": {"own": 1}},
        {"cmd": "push_batch", "queue": "q", "jobs": [{"name": "a"}, {"name": "b"}]},
        {"cmd": "push_batch", "queue": "q", "jobs": [{"name": "c", "tags": ["t"]}]},
        {"cmd": "push_batch", "queue": "q", "jobs": []},
        {"cmd": "pull", "queue": "q", "count": 9},
    )

    async def run() -> list[dict[str, Any]]:
        async with PyQueue(path) as queue:

            @queue.wrap_push
            def note(pushing: Pushing) -> Iterator[None]:
                pushing.metadata["trace"] = "t-1"
                yield
                seen.append((list(pushing.names), pushing.ids))

            async with serving(queue) as port:
                return await asyncio.to_thread(calls, port, *commands)

    plain, rich, batch, tagged, empty, pulled = asyncio.run(run())

    assert [names for names, _ in seen] == [["plain"], ["rich"], ["a", "b"], ["c"]]
    assert [ids for _, ids in seen] == [[plain["id"]], [rich["id"]], batch["ids"], tagged["ids"]]
    assert empty == {"ok": True, "ids": []}
    assert {job["metadata"]["trace"] for job in pulled["jobs"]} == {"t-1"}
    assert pulled["jobs"][0]["metadata"] == {"trace": "t-1", "own": 1}


def test_a_hook_that_raises_refuses_the_push(path: Path) -> None:
    async def run() -> list[dict[str, Any]]:
        async with PyQueue(path) as queue:

            @queue.wrap_push
            async def refuse(pushing: Pushing) -> AsyncIterator[None]:
                if "forbidden" in pushing.names:
                    raise RuntimeError("no")
                yield

            async with serving(queue) as port:
                pushes = ({"cmd": "push", "queue": "q", "name": name} for name in ("forbidden", "allowed"))
                return await asyncio.to_thread(calls, port, *pushes, {"cmd": "stats", "queue": "q"})

    refused, stored, stats = asyncio.run(run())

    assert refused["error"]["code"] == "INTERNAL_ERROR"
    assert stored["ok"]
    assert stats["counts"]["waiting"] == 1


def test_7_8_a_chain_longer_than_the_limit_of_the_handle_is_refused(path: Path) -> None:
    def chain(port: int) -> list[dict[str, Any]]:
        with Client(port) as client:
            parents: list[str] = []
            replies = []
            for _ in range(4):
                replies.append(client.call("push", queue="q", name="n", depends_on=parents))
                parents = [replies[-1].get("id", "")]
            batch = [{"name": "n", "depends_on": [replies[2]["id"]]}]
            return [*replies, client.call("push_batch", queue="q", jobs=batch)]

    async def run() -> list[dict[str, Any]]:
        async with PyQueue(path, max_flow_depth=2) as queue, serving(queue) as port:
            return await asyncio.to_thread(chain, port)

    first, second, third, fourth, batch = asyncio.run(run())

    assert first["ok"] and second["ok"] and third["ok"]
    assert fourth["error"]["code"] == batch["error"]["code"] == "VALIDATION_ERROR"
