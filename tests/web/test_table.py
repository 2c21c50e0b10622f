"""The table of routes, and the document made from it."""

from __future__ import annotations

import re
from collections import Counter

import msgspec

from pyqueue import PyQueue
from pyqueue.web import openapi
from pyqueue.web.api import ROUTES, Api
from pyqueue.web.request import Request


def test_every_route_is_in_the_document_once() -> None:
    document = openapi.document(ROUTES)

    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len(operations) == len(ROUTES) + 1  # and the health
    assert max(Counter(operation["operationId"] for operation in operations).values()) == 1


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = openapi.document(ROUTES)

    named = set(re.findall(r"#/components/schemas/(\w+)", msgspec.json.encode(document).decode()))

    assert named <= set(document["components"]["schemas"])


def test_the_docs_page_loads_nothing_from_elsewhere(queue: PyQueue) -> None:
    page = Api(queue).handle(Request(method="GET", path="/docs"))

    assert page.status == 200
    assert b"//" not in page.body.replace(b"<!doctype", b"")
    policy = dict(page.headers)["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_without_a_grant_only_the_public_pages_answer(queue: PyQueue) -> None:
    api = Api(queue)

    statuses = {
        path: api.handle(Request(method="GET", path=path)).status for path in ("/health", "/queues", "/nowhere")
    }

    assert statuses == {"/health": 200, "/queues": 401, "/nowhere": 401}
