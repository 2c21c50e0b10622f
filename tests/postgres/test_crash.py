"""Workers, backends and servers that are killed under load: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pyqueue import PyQueue, PyQueueError
from pyqueue.core.errors import InvalidState, LeaseLost
from tests import servers
from tests.private_server import PrivateServer
from tests.waiting import eventually


class Load:
    """Threads that push numbers and work on them, and what they were told."""

    def __init__(self, url: str) -> None:
        self.queue = PyQueue(url)
        self.queue.stats("q")
        self.pushed: list[int] = []
        self.acked: list[int] = []
        self.errors: list[PyQueueError] = []
        self._is_over = threading.Event()
        self._next = iter(range(10_000_000))
        self._threads = [threading.Thread(target=turn) for turn in [self._push] * 3 + [self._work] * 3]

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        yield
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """Each acknowledged push is there once, the others once or not at all; and so for the acks."""
        for job in self.queue.pull("q", count=10_000):
            self.queue.ack(job)
        stored, completed, cursor = Counter[int](), set[int](), None
        while True:
            page = self.queue.list_jobs(limit=1_000, cursor=cursor)
            stored.update(job.data for job in page.jobs)
            completed |= {job.data for job in page.jobs if job.state == "completed"}
            cursor = page.next_cursor
            if cursor is None:
                break
        assert set(self.pushed) <= set(stored), "an acknowledged push was lost"
        assert max(stored.values()) == 1, "a push was made twice"
        assert set(self.acked) <= completed, "an acknowledged ack was lost"
        assert max(Counter(self.acked).values()) == 1, "a job had two owners"
        assert self.queue.stats("q").total == sum(stored.values()), "the counts are wrong"

    def _push(self) -> None:
        while not self._is_over.is_set():
            number = next(self._next)
            try:
                self.queue.push("q", "n", number)
                self.pushed.append(number)
            except PyQueueError as error:
                self.errors.append(error)

    def _work(self) -> None:
        while not self._is_over.is_set():
            try:
                for job in self.queue.pull("q", count=5, lease_ms=60_000, wait_ms=50):
                    self.queue.ack(job)
                    self.acked.append(job.data)
            except PyQueueError as error:
                self.errors.append(error)


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateServer]:
    server = PrivateServer()
    server.start()
    yield server
    server.close()


def test_backends_that_are_terminated_cost_nobody_anything(url: str) -> None:
    address, schema = servers.split(url)
    load = Load(f"{url}&application_name={schema}")
    killed = 0
    with psycopg.connect(address, autocommit=True) as admin, load.running():
        end = time.monotonic() + 4
        while time.monotonic() < end:
            time.sleep(0.1)
            found = admin.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s", [schema]
            ).fetchone()
            killed += found[0] if found else 0

    load.check()
    assert killed > 20
    assert load.errors == []
    load.queue.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
def test_a_server_that_goes_and_comes_back_under_load(private: PrivateServer, how: signal.Signals) -> None:
    load = Load(f"{private.url}?schema=s{int(how)}")
    with load.running():
        for _ in range(3):
            before = len(load.pushed)
            eventually(lambda before=before: len(load.pushed) > before + 50, seconds=30)  # type: ignore[misc]
            private.restart(how)
        before = len(load.pushed)
        eventually(lambda: len(load.pushed) > before + 50, seconds=30)

    load.check()
    # A claim does not wait for the disk, so a crash may take it back: its ack is refused, and the job runs again.
    is_crash = how == signal.SIGQUIT
    assert [error for error in load.errors if not (is_crash and isinstance(error, InvalidState | LeaseLost))] == []
    load.queue.close()


def test_a_server_that_stays_away_is_named_in_the_error(
    private: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyqueue.core.store.postgres import store

    monkeypatch.setattr(store, "_RECONNECTIONS_MAX", 3)
    with PyQueue(private.url) as queue:
        queue.push("q", "n")
        private.stop()

        with pytest.raises(PyQueueError, match="cannot be reached"):
            queue.push("q", "n")

        private.start()
        queue.push("q", "n")
        assert queue.stats("q").waiting == 2


WORKER = """
import sys, psycopg
from pyqueue import PyQueue
from pyqueue.core.errors import InvalidState, PyQueueError

url, address, schema = sys.argv[1:]
queue = PyQueue(url)
connection = psycopg.connect(address, options=f"-c search_path={schema}")
print("ready", flush=True)
while True:
    queue.housekeep()
    for job in queue.pull("q", count=3, lease_ms=500, wait_ms=100):
        try:
            connection.execute("INSERT INTO done VALUES (%s)", [job.data])
            queue.on(connection).ack(job)
            connection.commit()
        except StateError:
            connection.rollback()
"""


JOBS = 4_000  # More than the workers get done before the third of them is killed.


def test_killed_workers_lose_no_job_and_no_job_is_done_twice(url: str, connection: psycopg.Connection) -> None:
    address, schema = servers.split(url)
    with PyQueue(url) as queue:
        queue.push_many("q", [{"name": "n", "data": number} for number in range(JOBS)])
        connection.execute("CREATE TABLE done (number int PRIMARY KEY)")
        workers = [_worker(url, address, schema) for _ in range(3)]
        kills = 0
        try:
            while queue.stats("q").completed < JOBS and kills < 12:
                time.sleep(0.15)
                victim = workers.pop(0)
                victim.kill()
                victim.wait()
                kills += 1
                workers.append(_worker(url, address, schema))
            eventually(lambda: queue.stats("q").completed == JOBS, seconds=60)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()

        assert kills >= 3
        assert connection.execute("SELECT count(*) FROM done").fetchone() == (JOBS,)


def _worker(*arguments: str) -> subprocess.Popen[str]:
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen([sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process
