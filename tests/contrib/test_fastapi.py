"""What is special to FastAPI: dependencies, background tasks, the router in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.testclient import TestClient

from pyqueue import PyQueue, Tasks
from pyqueue.contrib.fastapi import (
    Accepted,
    BackgroundTasks,
    JobDep,
    QueueDep,
    accepted,
    get_queue,
    lifespan,
    status_router,
)
from pyqueue.core.errors import ConfigError, PyQueueError

pytestmark = pytest.mark.sqlite("the dependencies do the same on any storage")

tasks = Tasks()


@tasks.task(queue="reports")
async def render(order: int) -> str:
    return f"report {order}"


def make_app(storage: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan(storage))
    app.include_router(status_router())

    @app.post("/reports", status_code=202, response_model=Accepted)
    async def create(order: int, request: Request, queue: QueueDep) -> Any:
        return accepted(request, await queue.apush("reports", "render", {"order": order}))

    @app.get("/own/{job_id}")
    async def own(job: JobDep) -> str:
        return job.name

    @app.post("/background")
    def in_background(order: int, background: BackgroundTasks) -> None:
        background.add_task(render, order)
        if order < 0:
            raise HTTPException(400, "no such order")

    @app.post("/not-a-task")
    async def not_a_task(background: BackgroundTasks) -> None:
        background.add_task(print, "x")  # type: ignore[arg-type]  # what is to be refused

    return app


@pytest.fixture
def app(path: Path) -> FastAPI:
    return make_app(path)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def queue_of(client: TestClient) -> PyQueue:
    queue: PyQueue = client.app.state.pyqueue  # type: ignore[attr-defined]  # TestClient knows any ASGI application
    return queue


def test_the_function_of_a_path_is_given_the_queue(client: TestClient) -> None:
    job_id = client.post("/reports?order=3").json()["id"]

    assert queue_of(client).get_job(job_id).data == {"order": 3}


def test_a_job_in_the_path_is_given_or_not_found(client: TestClient) -> None:
    job_id = queue_of(client).push("reports", "render")

    assert client.get(f"/own/{job_id}").json() == "render"
    assert client.get("/own/nothing").status_code == 404
    assert client.get("/own/01a2ffff-ffff-7000-8000-000000000000").json() == {"detail": "there is no such job."}


def test_an_overridden_queue_takes_the_place_of_the_applications_everywhere(app: FastAPI) -> None:
    with PyQueue.memory() as other:
        app.dependency_overrides[get_queue] = lambda: other
        client = TestClient(app)  # Without `with`, so without the lifespan.

        job_id = client.post("/reports?order=3").json()["id"]
        client.post("/background?order=4")

        assert [job.data["order"] for job in other.list_jobs(queue="reports").jobs] == [4, 3]
        assert client.get(f"/jobs/{job_id}").json()["state"] == "waiting"


def test_without_the_lifespan_a_dependency_says_what_to_do(app: FastAPI) -> None:
    with pytest.raises(ConfigError, match="dependency_overrides"):
        TestClient(app).post("/reports?order=3")


def test_background_tasks_are_stored_when_the_response_is_there(client: TestClient) -> None:
    client.post("/background?order=5")

    [job] = queue_of(client).list_jobs(queue="reports").jobs
    assert (job.name, job.data) == ("render", {"order": 5})


def test_background_tasks_of_a_refused_request_are_not_stored(client: TestClient) -> None:
    assert client.post("/background?order=-1").status_code == 400

    assert queue_of(client).list_jobs(queue="reports").jobs == []


def test_a_response_is_no_success_when_its_background_tasks_could_not_be_stored(client: TestClient) -> None:
    queue_of(client).pause("reports")

    with pytest.raises(PyQueueError):
        client.post("/background?order=5")


def test_a_function_that_is_no_task_is_refused_with_what_to_do(client: TestClient) -> None:
    with pytest.raises(ConfigError, match=r"Put @queue\.task above"):
        client.post("/not-a-task")


def test_the_status_router_is_in_the_openapi_document(client: TestClient) -> None:
    document = client.get("/openapi.json").json()

    status = document["paths"]["/jobs/{job_id}"]["get"]["responses"]
    events = document["paths"]["/jobs/{job_id}/events"]["get"]["responses"]
    assert status["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/JobStatus"}
    assert "404" in status and "404" in events
    assert list(events["200"]["content"]) == ["text/event-stream"]
    assert set(document["components"]["schemas"]["JobStatus"]["properties"]) == set(_status(client))
    accepted_schema = document["paths"]["/reports"]["post"]["responses"]["202"]["content"]["application/json"]["schema"]
    assert accepted_schema == {"$ref": "#/components/schemas/Accepted"}


def _status(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get(client.post("/reports?order=1").headers["location"]).json()
    return found


def test_the_status_router_takes_dependencies_that_guard_it(path: Path) -> None:
    def guard(x_user: str = Header()) -> None:
        if x_user != "me":
            raise HTTPException(403)

    app = FastAPI(lifespan=lifespan(path))
    app.include_router(status_router("/progress", dependencies=[Depends(guard)]), prefix="/v1")

    with TestClient(app) as client:
        job_id = queue_of(client).push("q", "n")

        assert client.get(f"/v1/progress/{job_id}", headers={"x-user": "me"}).status_code == 200
        assert client.get(f"/v1/progress/{job_id}", headers={"x-user": "you"}).status_code == 403
        assert client.get(f"/v1/progress/{job_id}/events", headers={"x-user": "you"}).status_code == 403
