"""What every adapter must do, said once. The tests of each run it on a shop of theirs, on each kind of database.

A shop has a page to order by, whose job `send-receipt` is pushed in the transaction of the order, and the HTTP API
below `/jobs`. Its pages, all of which answer in JSON:

    POST /orders?email=E          makes an order, pushes its receipt; {"order": id, "job": id}
    POST /orders?email=E&fails=1  does the same, and fails before the commit: 500
    POST /aorders?email=E         is `/orders` as an async view
    GET  /orders/ID               {"email": E, "is_receipt_sent": whether its job has run}
    POST /failures                pushes a job that always fails, of two attempts; {"job": id}
    POST /eager                   greets in eager mode, in memory; {"result": "hello you"}

The job `send-receipt` marks the order through the ORM of the application and returns its address. Who may use the API
is said by the header `X-Access`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, Protocol

import pytest

from pyqueue import JobState, PyQueue
from tests.waiting import eventually

JOB = {"name": "nobody-runs-this", "data": {}}


class Answer(NamedTuple):
    """What a page has answered."""

    status: int
    body: Any


class Adapter(Protocol):
    """A shop in some framework, on a database of its own."""

    url: str  # where its queue is, for a handle beside it

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Asks for a page."""
        ...

    def command(self, *arguments: str) -> str:
        """What `pyqueue …` says in the framework's own form."""
        ...

    def start_worker(self) -> subprocess.Popen[str]:
        """Starts a worker process of the shop."""
        ...


class OneOfSeveral(Protocol):
    """One of several applications in this process, each with a queue of its own that it runs the jobs of."""

    url: str  # where its queue is

    def push(self) -> str:
        """Asks for a page that pushes the job `name-of-queue`, whose result is the `url` it runs on; gives its id."""
        ...


class WithSettings(Protocol):
    """A shop whose framework has settings."""

    def error_with(self, key: str, value: str) -> str:
        """What the application says to a setting that it does not know."""
        ...


@contextmanager
def a_worker_of(adapter: Adapter) -> Iterator[Adapter]:
    """The shop, and a worker that runs its jobs."""
    worker = adapter.start_worker()
    try:
        with PyQueue(adapter.url) as queue:
            eventually(lambda: worker.poll() is not None or queue.workers(), seconds=60, what="a worker")
        assert worker.poll() is None, worker.communicate()
        yield adapter
    finally:
        worker.terminate()
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 0, said


class Contract:
    """The tests. A class below it gives the `shop`, with a worker that runs all the while."""

    @pytest.fixture
    def queue(self, shop: Adapter) -> Iterator[PyQueue]:
        with PyQueue(shop.url) as opened:
            yield opened

    @pytest.mark.parametrize("page", ["/orders", "/aorders"])
    def test_a_job_that_a_view_pushes_is_run_in_the_application(self, shop: Adapter, queue: PyQueue, page: str) -> None:
        answer = shop.ask("POST", f"{page}?email=a@shop")

        assert answer.status == 200, answer
        assert queue.wait_for(answer.body["job"], timeout=30) == "a@shop"
        assert shop.ask("GET", f"/orders/{answer.body['order']}").body == {"email": "a@shop", "is_receipt_sent": True}

    def test_a_rollback_takes_the_job_with_it(self, shop: Adapter, queue: PyQueue) -> None:
        before = _jobs_of(queue, "send-receipt")

        answer = shop.ask("POST", "/orders?email=lost@shop&fails=1")

        assert answer.status == 500
        assert _jobs_of(queue, "send-receipt") == before

    def test_a_job_is_tried_again_and_becomes_a_dead_letter_that_commands_show_and_retry(
        self, shop: Adapter, queue: PyQueue
    ) -> None:
        job_id = shop.ask("POST", "/failures").body["job"]

        dead = eventually(lambda: _in(queue, job_id, JobState.DLQ), seconds=30, what="a dead letter")
        shown = json.loads(shop.command("inspect", job_id, "--json"))
        shop.command("retry", job_id)

        assert dead.attempt == 2 and "LookupError" in dead.last_error
        assert shown["state"] == "dlq" and shown["attempt"] == 2
        again = eventually(lambda: _in(queue, job_id, JobState.DLQ), seconds=30, what="a dead letter once more")
        assert again.started_at > dead.started_at

    def test_commands_show_the_queues_and_workers_of_the_application(self, shop: Adapter, queue: PyQueue) -> None:
        queue.push("unseen", "nobody-runs-this")

        status = [json.loads(line) for line in shop.command("status", "--json").splitlines()]
        workers = [json.loads(line) for line in shop.command("workers", "--json").splitlines()]

        assert {"unseen": 1}.items() <= {each["name"]: each["counts"]["waiting"] for each in status}.items()
        assert [each["id"] for each in workers] == [each.id for each in queue.workers()]

    def test_in_eager_mode_what_a_view_pushes_has_run_when_it_goes_on(self, shop: Adapter) -> None:
        assert shop.ask("POST", "/eager").body == {"result": "hello you"}

    @pytest.mark.parametrize(
        ("access", "looks", "pushes", "pauses"),
        [("none", 403, 403, 403), ("read", 200, 403, 403), ("operate", 200, 201, 403), ("admin", 200, 201, 200)],
    )
    def test_the_api_does_for_each_what_the_application_allows(
        self, shop: Adapter, access: str, looks: int, pushes: int, pauses: int
    ) -> None:
        who = {"X-Access": access}

        looked = shop.ask("GET", "/jobs/api/v1/queues", headers=who)
        pushed = shop.ask("POST", "/jobs/api/v1/queues/unseen/jobs", JOB, who)
        paused = shop.ask("POST", "/jobs/api/v1/queues/paused/pause", headers=who)

        assert (looked.status, pushed.status, paused.status) == (looks, pushes, pauses), (looked, pushed, paused)

    @pytest.mark.parametrize("mark", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
    def test_the_api_refuses_pages_of_other_sites(self, shop: Adapter, queue: PyQueue, mark: Mapping[str, str]) -> None:
        before = queue.stats("unseen").waiting

        answer = shop.ask("POST", "/jobs/api/v1/queues/unseen/jobs", JOB, {"X-Access": "admin", **mark})

        assert answer.status == 403 and queue.stats("unseen").waiting == before

    def test_the_api_finds_names_with_a_slash_and_says_what_is_not_there(self, shop: Adapter, queue: PyQueue) -> None:
        queue.create_schedule("day/night", "unseen", "nobody-runs-this", every_ms=3_600_000)
        who = {"X-Access": "read"}

        found = shop.ask("GET", "/jobs/api/v1/schedules/day%2Fnight", headers=who)
        missing = shop.ask("GET", "/jobs/api/v1/nothing", headers=who)

        assert (found.status, missing.status) == (200, 404), (found, missing)
        assert missing.body["error"]["code"] == "NOT_FOUND"


class ContractOfSeveral:
    """The tests of adapters for frameworks that have several applications in a process: they give `several`."""

    def test_applications_of_one_process_have_their_queues_apart(self, several: Sequence[OneOfSeveral]) -> None:
        jobs = [app.push() for app in several for _ in range(3)]

        for number, app in enumerate(several):
            own = jobs[3 * number : 3 * number + 3]
            with PyQueue(app.url) as queue:
                assert {queue.wait_for(job, timeout=30) for job in own} == {app.url}
                assert sorted(_jobs_of(queue, "name-of-queue")) == sorted(own)


class ContractOfSettings:
    """The tests of adapters that read settings."""

    # The last part of a setting's name, misspelt: what was meant must be named.
    misspelt: ClassVar[tuple[str, str]] = ("STORAGGE", "STORAGE")

    def test_a_setting_that_is_not_known_is_refused_and_the_nearest_named(self, shop: WithSettings) -> None:
        given, meant = self.misspelt

        said = shop.error_with(given, "jobs.db")

        assert given in said and f"{meant}'?" in said


def _jobs_of(queue: PyQueue, name: str) -> list[str]:
    return [job.id for job in queue.list_jobs(name=name, limit=1_000).jobs]


def _in(queue: PyQueue, job_id: str, state: JobState) -> Any:
    job = queue.get_job(job_id)
    return job if job.state is state else None
