"""Flask keeps the contract of all adapters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("flask")

from tests.contrib.contract import Adapter, Contract, ContractOfSettings, a_worker_of


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    from tests.contrib.flask_shop import flask_shop_on

    with flask_shop_on(request.param, tmp_path_factory.mktemp("flask")) as made, a_worker_of(made):
        yield made


class TestFlask(Contract, ContractOfSettings):
    """The contract, and nothing else."""
