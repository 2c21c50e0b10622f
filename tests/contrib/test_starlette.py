"""The adapter for Starlette, on Starlette alone: lifespan, background tasks, status of jobs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from pyqueue import JobContext, JobState, PyQueue, Tasks
from pyqueue.contrib.starlette import BackgroundTasks, accepted, get_queue, lifespan, status_routes
from pyqueue.core.errors import ConfigError, QueuePaused, StorageError, ValidationError
from pyqueue.core.worker.embedded import EmbeddedWorker
from tests.waiting import eventually


def tasks_of_a_shop() -> Tasks:
    tasks = Tasks()

    @tasks.task(queue="reports")
    async def render(order: int) -> str:
        return f"report {order}"

    @tasks.task(queue="emails")
    def send(to: str) -> None: ...

    return tasks


async def push(request: Request) -> Response:
    queue = await get_queue(request)
    return accepted(request, await queue.apush("reports", "render", {"order": 1}))


ROUTES = [Route("/push", push, methods=["POST"]), *status_routes()]


def test_an_embedded_worker_runs_what_a_request_pushes(path: Any) -> None:
    app = Starlette(routes=ROUTES, lifespan=lifespan(path, workers=2, tasks=tasks_of_a_shop()))

    with TestClient(app) as client:
        answer = client.post("/push")
        queue: PyQueue = app.state.pyqueue

        assert answer.status_code == 202
        assert answer.headers["location"] == answer.json()["status_url"] == f"/jobs/{answer.json()['id']}"
        assert queue.wait_for(answer.json()["id"], timeout=20) == "report 1"
        status = client.get(answer.headers["location"]).json()
        assert status["state"] == "completed" and status["result"] == "report 1"


def test_the_application_may_be_started_again(path: Any) -> None:
    app = Starlette(routes=ROUTES, lifespan=lifespan(path, tasks=tasks_of_a_shop()))

    for _ in range(2):
        with TestClient(app) as client:
            assert client.post("/push").status_code == 202


def test_a_queue_that_was_given_stays_open(queue: PyQueue) -> None:
    with TestClient(Starlette(routes=ROUTES, lifespan=lifespan(queue))) as client:
        job_id = client.post("/push").json()["id"]

    assert queue.get_job(job_id).state is JobState.WAITING


def test_an_own_lifespan_begins_with_the_queue_there_and_ends_before_it(path: Any) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def inner(app: Any) -> AsyncIterator[dict[str, Any]]:
        await app.state.pyqueue.apush("reports", "at-the-start")
        yield {"own": "state"}
        await app.state.pyqueue.apush("reports", "at-the-end")
        seen.append("ended")

    async def show(request: Request) -> Response:
        return JSONResponse([request.state.own, (await (await get_queue(request)).astats("reports")).waiting])

    with TestClient(Starlette(routes=[Route("/", show)], lifespan=lifespan(path, inner=inner))) as client:
        assert client.get("/").json() == ["state", 1]

    assert seen == ["ended"]
    with PyQueue(path) as queue:
        assert queue.stats("reports").waiting == 2


def test_a_mounted_application_has_the_queue_of_the_outer_one(path: Any) -> None:
    app = Starlette(routes=[Mount("/inside", Starlette(routes=ROUTES))], lifespan=lifespan(path))

    with TestClient(app) as client:
        assert client.post("/inside/push").headers["location"].startswith("/inside/jobs/")


def test_without_a_lifespan_of_ours_a_request_is_told_what_to_do() -> None:
    with (
        TestClient(Starlette(routes=ROUTES)) as client,
        pytest.raises(ConfigError, match=r"lifespan=lifespan\('jobs\.db'\)"),
    ):
        client.post("/push")


def test_accepted_without_a_route_says_which_to_add(path: Any) -> None:
    app = Starlette(routes=ROUTES[:1], lifespan=lifespan(path))

    with TestClient(app) as client, pytest.raises(ConfigError, match="status_routes"):
        client.post("/push")


@pytest.mark.sqlite("a folder that is not there")
def test_a_storage_that_cannot_be_opened_stops_the_start(path: Path) -> None:
    with pytest.raises(StorageError), TestClient(Starlette(lifespan=lifespan(path / "missing" / "jobs.db"))):
        pass


def test_workers_without_anything_to_do_stop_the_start(path: Any) -> None:
    with pytest.raises(ConfigError, match="no queues"), TestClient(Starlette(lifespan=lifespan(path, workers=1))):
        pass


def test_a_number_of_workers_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="workers"):
        lifespan("jobs.db", workers=-1)


def test_what_runs_at_the_shutdown_is_finished(queue: PyQueue) -> None:
    started: list[str] = []

    @queue.task(queue="reports")
    async def slow(context: JobContext) -> str:
        started.append(context.job.id)
        await asyncio.sleep(0.3)
        return "done"

    with TestClient(Starlette(lifespan=lifespan(queue, workers=1))):
        job = slow.push()
        eventually(lambda: started)

    assert queue.get_job(job).result == "done"


def test_what_does_not_finish_in_time_is_given_back(queue: PyQueue) -> None:
    started: list[str] = []

    @queue.task(queue="reports")
    async def endless(context: JobContext) -> None:
        started.append(context.job.id)
        await asyncio.sleep(60)

    with TestClient(Starlette(lifespan=lifespan(queue, workers=1, grace_ms=50))):
        job = endless.push()
        eventually(lambda: started)

    given_back = queue.get_job(job)
    assert given_back.state is JobState.WAITING and given_back.attempt == 0


def test_background_tasks_are_stored_together_before_the_block_ends(queue: PyQueue) -> None:
    tasks = tasks_of_a_shop()
    queue.include(tasks)
    render, send = tasks.find("render"), tasks.find("send")
    assert render is not None and send is not None

    async def scenario() -> list[str]:
        async with BackgroundTasks(queue) as background:
            background.add_task(render, 7)
            background.add_task(send.options(priority=9), to="user@a.com")
            assert (await queue.astats("reports")).waiting == 0
        return background.ids

    first, second = (queue.get_job(job_id) for job_id in asyncio.run(scenario()))

    assert (first.queue, first.name, first.data) == ("reports", "render", {"order": 7})
    assert (second.queue, second.priority, second.data) == ("emails", 9, {"to": "user@a.com"})


def test_background_tasks_are_stored_all_or_none(queue: PyQueue) -> None:
    tasks = tasks_of_a_shop()
    queue.include(tasks)
    queue.pause("emails")

    async def scenario() -> None:
        async with BackgroundTasks(queue) as background:
            background.add_task(tasks.find("render"), 7)  # type: ignore[arg-type]  # it is there
            background.add_task(tasks.find("send"), "user@a.com")  # type: ignore[arg-type]

    with pytest.raises(QueuePaused):
        asyncio.run(scenario())

    assert queue.stats("reports").waiting == 0


def test_an_error_in_the_block_stores_no_background_task(queue: PyQueue) -> None:
    tasks = tasks_of_a_shop()
    queue.include(tasks)

    async def scenario() -> None:
        async with BackgroundTasks(queue) as background:
            background.add_task(tasks.find("render"), 7)  # type: ignore[arg-type]  # it is there
            raise RuntimeError("the order failed")

    with pytest.raises(RuntimeError):
        asyncio.run(scenario())

    assert queue.stats("reports").waiting == 0


def test_a_background_task_must_be_a_task_with_arguments_that_fit(queue: PyQueue) -> None:
    tasks = tasks_of_a_shop()
    queue.include(tasks)
    background = BackgroundTasks(queue)

    with pytest.raises(ConfigError, match=r"@queue\.task"):
        background.add_task(print, "x")  # type: ignore[arg-type]  # what is to be refused
    with pytest.raises(ValidationError, match="order"):
        background.add_task(tasks.find("render"), order="many")  # type: ignore[arg-type]


def test_the_status_of_a_job_tells_neither_its_arguments_nor_its_errors(queue: PyQueue) -> None:
    job_id = queue.push("reports", "render", {"secret": 1}, max_attempts=1)
    queue.fail(queue.pull("reports")[0], "a traceback")

    with TestClient(Starlette(routes=ROUTES, lifespan=lifespan(queue))) as client:
        status = client.get(f"/jobs/{job_id}")

    assert status.json()["state"] == "dlq" and status.json()["attempt"] == 1
    assert status.headers["cache-control"] == "no-store"
    assert "secret" not in status.text and "traceback" not in status.text


@pytest.mark.parametrize("job_id", ["01a2ffff-ffff-7000-8000-000000000000", "nothing-like-an-id"])
def test_the_status_of_an_unknown_job_is_not_found(queue: PyQueue, job_id: str) -> None:
    with TestClient(Starlette(routes=ROUTES, lifespan=lifespan(queue))) as client:
        assert client.get(f"/jobs/{job_id}").status_code == 404
        assert client.get(f"/jobs/{job_id}/events").status_code == 404


def test_a_browser_that_has_seen_the_end_is_told_to_stay_away(queue: PyQueue) -> None:
    job_id = queue.push("reports", "render")
    queue.ack(queue.pull("reports")[0], {"pages": 3})

    with TestClient(Starlette(routes=ROUTES, lifespan=lifespan(queue))) as client:
        first = client.get(f"/jobs/{job_id}/events")
        again = client.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": "end"})

    mark, name, data = first.text.strip().splitlines()
    assert (mark, name) == ("id: end", "event: status")
    assert json.loads(data.removeprefix("data: "))["result"] == {"pages": 3}
    assert again.status_code == 204


def test_a_worker_that_cannot_start_says_so_to_whoever_asks(queue: PyQueue) -> None:
    worker = queue.worker("reports", lambda job: None)
    embedded = EmbeddedWorker(worker)
    queue.close()

    embedded.start()

    assert embedded.stop().exception(timeout=20) is not None


def test_fastapi_is_not_needed() -> None:
    script = (
        "import sys; sys.modules['fastapi'] = None; sys.modules['pydantic'] = None; import pyqueue.contrib.starlette"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
