"""FastAPI keeps the contract of all adapters. It has no settings: what is unknown is no parameter of `lifespan`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from pyqueue import PyQueue
from pyqueue.contrib.fastapi import QueueDep, lifespan
from tests.contrib.contract import Adapter, Contract, ContractOfSeveral, a_worker_of


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    from tests.contrib.fastapi_shop import fastapi_shop_on

    with fastapi_shop_on(request.param, tmp_path_factory.mktemp("fastapi")) as made, a_worker_of(made):
        yield made


class One:
    """An application of FastAPI, to be used within `client`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue = queue = PyQueue(url)
        queue.task(name="name-of-queue")(lambda: queue.path)
        app = FastAPI(lifespan=lifespan(queue, workers=1))

        @app.post("/push")
        async def push(queue: QueueDep) -> str:
            return await queue.apush("default", "name-of-queue")

        self.client = TestClient(app)

    def push(self) -> str:
        return str(self.client.post("/push").json())


@pytest.fixture
def several(tmp_path: Path) -> Iterator[list[One]]:
    ones = [One(str(tmp_path / f"{name}.db")) for name in ("one", "two")]
    with ExitStack() as stack:
        for one in ones:
            stack.enter_context(one.queue)
            stack.enter_context(one.client)
        yield ones


class TestFastApi(Contract, ContractOfSeveral):
    """The contract, and nothing else."""
