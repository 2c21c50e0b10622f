"""FastAPI keeps the contract of all adapters. It has no settings: what is unknown is no parameter of `lifespan`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contrib.contract import Adapter, Contract, a_worker_of

pytest.importorskip("fastapi")
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with:DeprecationWarning")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    from tests.contrib.fastapi_shop import fastapi_shop_on

    with fastapi_shop_on(request.param, tmp_path_factory.mktemp("fastapi")) as made, a_worker_of(made):
        yield made


class TestFastApi(Contract):
    """The contract, and nothing else."""
