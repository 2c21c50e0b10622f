"""The OpenAPI document is true: requests made from it meet no failure of the server and no answer it does not name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from tests.server.process import Server, serving

NAMES = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = Path(tmp_path_factory.mktemp("schema")) / "jobs.db"
    with serving(path, "--durability", "process", PYQUEUE_WEBHOOKS_ENABLED="true") as running:
        yield running


@pytest.mark.parametrize("examples", [4, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(7_200)])])
def test_requests_made_from_the_document_are_answered_as_it_says(server: Server, examples: int) -> None:
    address = f"http://127.0.0.1:{server.port}/api/v1"
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    checks: list[Any] = [check for check in CHECKS.get_all() if check.__name__ in NAMES]
    assert len(checks) == len(NAMES)

    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=examples < 10,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            if "wait_ms" in (case.query or {}):
                case.query["wait_ms"] = 1
            case.call_and_validate(base_url=address, checks=checks, timeout=30)

        ask()
