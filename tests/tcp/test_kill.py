"""kill -9 of the server under load from eight clients: what it has acknowledged is there afterwards."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from pyqueue.core.errors import JobNotFound
from tests.tcp.clients import Client, Server, serving
from tests.waiting import eventually

_CLIENTS = 8


class Word:
    """What the server has acknowledged to one client."""

    def __init__(self) -> None:
        self.pushed: list[str] = []
        self.acked: list[str] = []


def work(server: Server, word: Word, number: int) -> None:
    """Pushes, pulls and acknowledges over one connection until the server is gone."""
    try:
        with server.client() as client:
            while True:
                word.pushed += client.call("push_batch", queue="q", jobs=[{"name": "n", "data": number}] * 5)["ids"]
                word.pushed.append(client.push("q"))
                _finish(client, word)
    except (OSError, AssertionError, ValueError):
        return  # The connection is gone: what was not acknowledged may be there or not.


def _finish(client: Client, word: Word) -> None:
    ids = [job["id"] for job in client.call("pull", queue="q", count=4)["jobs"]]
    reply = client.call("ack_batch", ids=ids)
    word.acked += [item["id"] for item in reply["results"] if item["ok"]]
    job = client.pull("q")
    if job is not None and client.call("ack", id=job["id"])["ok"]:
        word.acked.append(job["id"])


def kill_under_load(path: Path, words: list[Word], seed: int) -> None:
    with serving(path) as server:
        threads = [threading.Thread(target=work, args=(server, word, number)) for number, word in enumerate(words)]
        for thread in threads:
            thread.start()
        already = sum(len(word.acked) for word in words)
        eventually(lambda: sum(len(word.acked) for word in words) > already)
        time.sleep(random.Random(seed).uniform(0, 0.3))  # The moment of the kill is to be any.
        server.kill()
        for thread in threads:
            thread.join(20)
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


def kills(path: Path, times: int) -> None:
    words = [Word() for _ in range(_CLIENTS)]
    for seed in range(times):
        kill_under_load(path, words, seed)
        assert lost(path, words) == [], f"after kill {seed}"


def test_what_was_acknowledged_survives_kills_under_load(path: Path) -> None:
    kills(path, 3)


@pytest.mark.soak
def test_what_was_acknowledged_survives_a_hundred_kills(path: Path) -> None:
    kills(path, 100)
