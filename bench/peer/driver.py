"""Pushes to one queue and measures: `python -m bench.peer.driver by_rq`, with commands on stdin and times on stdout.

backlog N   stores a stamp, N jobs and a stamp; then, when a worker has run them: the moments of both stamps
single N    pushes N jobs one at a time and a stamp; the seconds from the first push to the stamp
many N      the same with the queue's call for many jobs, if it has one
latency N   N times a pause and one stamp: the seconds from its push to its start
push N      pushes N jobs one at a time, and tells when it began and ended
batches N   the same in batches of 50
drain N     stores N jobs that can be seen at one moment; jobs per second from when the first are done to the last
worked N    when a worker has been started on N jobs that are there: jobs per second from when the first are done
finish 0    the moment at which no job is left
install 0   makes the tables
"""

from __future__ import annotations

import importlib
import json
import random
import socket
import struct
import sys
import time
from typing import Any

_DEADLINE_SECONDS = 60.0
_BATCH = 50


def main() -> None:
    queue = importlib.import_module(f"bench.peer.{sys.argv[1]}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.settimeout(_DEADLINE_SECONDS)
        driver = Driver(queue, datagrams)
        for line in sys.stdin:
            command, number = line.split()
            print(json.dumps(getattr(driver, command)(int(number))), flush=True)


class Driver:
    """The commands."""

    def __init__(self, queue: Any, datagrams: socket.socket) -> None:
        self._queue, self._datagrams = queue, datagrams
        self._port = datagrams.getsockname()[1]

    def backlog(self, number: int) -> list[float]:
        self._queue.push_stamp(self._port)
        self._queue.push_noops(number)
        self._queue.push_stamp(self._port)
        print(json.dumps("stored"), flush=True)
        return [self._stamp(), self._end()]

    def single(self, number: int) -> float:
        began = time.perf_counter()
        for _ in range(number):
            self._queue.push_noop()
        self._queue.push_stamp(self._port)
        return self._end() - began

    def many(self, number: int) -> float:
        began = time.perf_counter()
        self._queue.push_noops(number)
        self._queue.push_stamp(self._port)
        return self._end() - began

    def latency(self, number: int) -> list[float]:
        seconds = []
        for _ in range(number):
            time.sleep(random.uniform(0.005, 0.06))
            began = time.perf_counter()
            self._queue.push_stamp(self._port)
            seconds.append(self._stamp() - began)
        return seconds

    def push(self, number: int) -> tuple[float, float]:
        began = time.perf_counter()
        for _ in range(number):
            self._queue.push_noop()
        return began, time.perf_counter()

    def batches(self, number: int) -> tuple[float, float]:
        began = time.perf_counter()
        for _ in range(0, number, _BATCH):
            self._queue.push_batch(_BATCH)
        return began, time.perf_counter()

    def drain(self, number: int) -> float:
        self._queue.push_batch(number)
        stored = time.perf_counter()
        while (left := self._queue.unfinished()) == number:
            time.sleep(0.002)
        began = time.perf_counter()
        ended = self.finish(0)
        # So fast that the look came late: then the time to notice the jobs counts too.
        return left / (ended - began) if left > number / 2 else number / (ended - stored)

    def worked(self, number: int) -> float:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while (left := self._queue.unfinished()) == number and time.monotonic() < deadline:
            time.sleep(0.002)
        began = time.perf_counter()
        return float(left / (self.finish(0) - began))

    def finish(self, _: int) -> float:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while self._queue.unfinished() and time.monotonic() < deadline:
            time.sleep(0.005)
        return time.perf_counter()

    def install(self, _: int) -> None:
        self._queue.install()

    def _end(self) -> float:
        """The stamp behind all jobs; later where the queue can tell that more is to be done for them."""
        moment = self._stamp()
        return self._queue.settled() if hasattr(self._queue, "settled") else moment

    def _stamp(self) -> float:
        return float(struct.unpack("d", self._datagrams.recv(8))[0])


if __name__ == "__main__":
    main()
