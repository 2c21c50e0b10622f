"""Flask keeps the contract of all adapters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("flask")

from flask import Flask

from pyqueue.contrib.flask import FlaskQueue
from tests.contrib.contract import Adapter, Contract, ContractOfSettings, ContractOfSeveral, a_worker_of


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    from tests.contrib.flask_shop import flask_shop_on

    with flask_shop_on(request.param, tmp_path_factory.mktemp("flask")) as made, a_worker_of(made):
        yield made


class One:
    """An application of Flask whose extension others have too."""

    def __init__(self, queue: FlaskQueue, folder: Path) -> None:
        self.url = str(folder / "jobs.db")
        app = Flask(folder.name, instance_path=str(folder))
        app.config.update(PYQUEUE_STORAGE="jobs.db", PYQUEUE_EMBEDDED_WORKERS=1)
        queue.init_app(app)
        app.post("/push")(lambda: {"job": queue.push("default", "name-of-queue")})
        self._client, self.queue = app.test_client(), queue.of(app)

    def push(self) -> str:
        return str(self._client.post("/push").get_json()["job"])


@pytest.fixture
def several(tmp_path: Path) -> Iterator[list[One]]:
    queue = FlaskQueue()
    queue.task(name="name-of-queue")(lambda: queue.path)
    ones = [One(queue, tmp_path / name) for name in ("one", "two")]
    yield ones
    for one in ones:
        assert one.queue.embedded is not None
        one.queue.embedded.stop()
        one.queue.close()


class TestFlask(Contract, ContractOfSettings, ContractOfSeveral):
    """The contract, and nothing else."""
