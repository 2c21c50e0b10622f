"""Wake-ups between processes: datagrams, their loss, their forgery, and the poll beneath."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyqueue import PyQueue
from pyqueue.core.store import bell
from tests.waiting import eventually


@contextmanager
def waiting(queue: PyQueue, wait_ms: int = 10_000) -> Iterator[list[float]]:
    """A pull that waits on a thread; the moments at which jobs came are in the list."""
    came: list[float] = []
    thread = threading.Thread(target=lambda: came.extend(time.monotonic() for _ in queue.pull("q", wait_ms=wait_ms)))
    thread.start()
    eventually(lambda: queue._runtime.wakeups._waiters)
    try:
        yield came
    finally:
        thread.join()


def ports(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    found = [port for (port,) in connection.execute("SELECT port FROM pyqueue_listener")]
    connection.close()
    return found


@pytest.mark.sqlite("looks into the file")
def test_a_process_that_waits_leaves_its_port_and_takes_it_back(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.stats("q")
        assert ports(path) == []
        with waiting(queue):
            [port] = eventually(lambda: ports(path))
            assert port == queue._runtime.wakeups._bell.port
            queue.push("q", "n")
    assert ports(path) == []


@pytest.mark.sqlite("datagrams")
def test_another_handle_is_woken_by_a_datagram_without_a_poll(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyqueue.core.store.wakeup as wakeup

    monkeypatch.setattr(wakeup, "_POLL_SECONDS", 60.0)
    with PyQueue(path) as worker, PyQueue(path) as web:
        web.stats("q")
        with waiting(worker) as came:
            eventually(lambda: ports(path))
            web.push("q", "n")
            eventually(lambda: came, seconds=5)


@pytest.mark.sqlite("datagrams")
def test_a_lost_datagram_costs_no_more_than_a_poll(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell.LoopbackBell, "ring", lambda self, ports: None)
    with PyQueue(path) as worker, PyQueue(path) as web:
        web.stats("q")
        with waiting(worker) as came:
            web.push("q", "n")
            eventually(lambda: came, seconds=5)


@pytest.mark.sqlite("datagrams")
def test_a_process_without_a_loopback_interface_polls(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell, "_HOST", "203.0.113.1")
    with PyQueue(path) as worker, PyQueue(path) as web:
        web.stats("q")
        with waiting(worker) as came:
            assert ports(path) == []
            web.push("q", "n")
            eventually(lambda: came, seconds=5)


@pytest.mark.sqlite("datagrams")
def test_forged_datagrams_change_nothing(path: Path) -> None:
    with PyQueue(path) as queue:
        with waiting(queue, wait_ms=300) as came, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            [port] = eventually(lambda: ports(path))
            for size in (0, 1, 1_000) * 50:
                forger.sendto(b"x" * size, ("127.0.0.1", port))
        assert came == []
        queue.push("q", "n")
        assert len(queue.pull("q")) == 1


@pytest.mark.sqlite("looks into the file")
def test_the_address_of_a_process_that_died_is_forgotten_in_time(path: Path) -> None:
    with PyQueue(path) as queue:
        queue.stats("q")
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO pyqueue_listener (port, listens_until) VALUES (9, 0)")
        connection.commit()
        connection.close()
        queue.push("other", "n")
        with waiting(queue):
            eventually(lambda: 9 in ports(path) and len(ports(path)) == 2)
            queue.push("q", "n")
    assert ports(path) == []
