"""Django keeps the contract of all adapters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contrib.contract import Adapter, Contract, ContractOfSettings, a_worker_of
from tests.contrib.django_shop import shop_on

pytest.importorskip("django")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    with shop_on(request.param, tmp_path_factory.mktemp("django")) as made:
        made.manage("migrate", "--verbosity", "0", "--run-syncdb")
        try:
            with a_worker_of(made):
                yield made
        finally:
            made.close()


class TestDjango(Contract, ContractOfSettings):
    """The contract, and nothing else."""
