"""kill -9 of the server under load from eight TCP and eight HTTP clients: what it has acknowledged is there then."""

from __future__ import annotations

import http.client
import random
import threading
import time
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import JobNotFound
from tests.server.process import Client as HttpClient
from tests.server.process import Server, serving
from tests.tcp.clients import Client
from tests.waiting import eventually

_CLIENTS_OF_EACH = 8


class Word:
    """What the server has acknowledged to one client."""

    def __init__(self) -> None:
        self.pushed: list[str] = []
        self.acked: list[str] = []


def work_over_tcp(server: Server, word: Word) -> None:
    """Pushes, pulls and acknowledges over one connection until the server is gone."""
    try:
        with Client(server.tcp_port) as client:
            while True:
                word.pushed += client.call("push_batch", queue="q", jobs=[{"name": "n"}] * 5)["ids"]
                word.pushed.append(client.push("q"))
                ids = [job["id"] for job in client.call("pull", queue="q", count=4)["jobs"]]
                reply = client.call("ack_batch", ids=ids)
                word.acked += [item["id"] for item in reply["results"] if item["ok"]]
                job = client.pull("q")
                if job is not None and client.call("ack", id=job["id"])["ok"]:
                    word.acked.append(job["id"])
    except (OSError, AssertionError, ValueError):
        return  # The connection is gone: what was not acknowledged may be there or not.


def work_over_http(server: Server, word: Word) -> None:
    """The same in requests."""
    client = HttpClient(server.port)
    try:
        while True:
            word.pushed += client.post("/queues/q/jobs", [{"name": "n", "data": 1}] * 3).json["ids"]
            word.pushed.append(client.push("q"))
            ids = [job["id"] for job in client.pull("q", "?count=2")["jobs"]]
            word.acked += [
                each["id"] for each in client.post("/jobs/ack-batch", {"ids": ids}).json["results"] if each["ok"]
            ]
            job = client.pull("q")["job"]
            if job is not None and client.post(f"/jobs/{job['id']}/ack").status == 200:
                word.acked.append(job["id"])
    except (OSError, http.client.HTTPException, ValueError):
        return


def kill_under_load(path: Path, over_tcp: list[Word], over_http: list[Word], seed: int) -> None:
    with serving(path) as server:
        threads = [threading.Thread(target=work_over_tcp, args=(server, word)) for word in over_tcp]
        threads += [threading.Thread(target=work_over_http, args=(server, word)) for word in over_http]
        already = [sum(len(word.acked) for word in words) for words in (over_tcp, over_http)]
        for thread in threads:
            thread.start()
        for words, before in zip((over_tcp, over_http), already, strict=True):
            eventually(lambda w=words, b=before: sum(len(word.acked) for word in w) > b, seconds=30)  # type: ignore[misc]
        time.sleep(random.Random(seed).uniform(0, 0.3))  # The moment of the kill is to be any.
        server.process.kill()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)


def lost(path: Path, words: list[Word]) -> list[str]:
    """Acknowledged pushes and acks that are not there."""
    with PyQueue(path) as queue:
        acked = {job_id for word in words for job_id in word.acked}
        pushed = {job_id for word in words for job_id in word.pushed}
        return [job_id for job_id in pushed | acked if not _is_there(queue, job_id, job_id in acked)]


def _is_there(queue: PyQueue, job_id: str, is_acked: bool) -> bool:
    try:
        job = queue.get_job(job_id)
    except JobNotFound:
        return False
    return not is_acked or job.state is JobState.COMPLETED


@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])])
def test_what_was_acknowledged_survives_kills_under_load(path: Path, kills: int) -> None:
    over_tcp, over_http = ([Word() for _ in range(_CLIENTS_OF_EACH)] for _ in range(2))
    for seed in range(kills):
        kill_under_load(path, over_tcp, over_http, seed)
        if seed % 20 == 0 or seed == kills - 1:  # To look each job up takes longer than the load.
            assert lost(path, over_tcp + over_http) == [], f"after kill {seed}"
    assert all(word.pushed for word in over_tcp + over_http)
