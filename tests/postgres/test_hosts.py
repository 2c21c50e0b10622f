"""Workers on three machines, each with an address of its own, one of them cut off for longer than its leases."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pyqueue import PyQueue
from tests.private_server import PrivateServer
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("ip") is None,
    reason="NO NETWORK NAMESPACES: they need root, and apt-get install iproute2",
)

WORKER = """
import sys, psycopg
from pyqueue import PyQueue
from pyqueue.core.errors import StateError

queue = PyQueue(sys.argv[1])
connection = psycopg.connect(sys.argv[1])
queue.start_housekeeping()
print("ready", flush=True)
while True:
    for job in queue.pull("q", count=3, lease_ms=1_500, wait_ms=1_000, worker_id=sys.argv[2]):
        try:
            connection.execute("INSERT INTO done VALUES (%s, %s)", [job.data, sys.argv[2]])
            queue.on(connection).ack(job)
            connection.commit()
        except StateError:
            connection.rollback()
"""

# Takes jobs, and is late with them.
LATECOMER = """
import json, sys
from pyqueue import PyQueue
from pyqueue.core.errors import StateError

queue = PyQueue(sys.argv[1])
jobs = queue.pull("q", count=5, lease_ms=1_500, worker_id=sys.argv[2])
print(json.dumps([job.data for job in jobs]), flush=True)
sys.stdin.readline()
outcomes = []
for job in jobs:
    try:
        queue.heartbeat(job)
        outcomes.append("still its own")
    except StateError as error:
        outcomes.append(error.code)
    try:
        queue.ack(job)
        outcomes.append("done")
    except StateError as error:
        outcomes.append(error.code)
print(json.dumps(outcomes), flush=True)
"""


class Network:
    """A bridge with machines on it: network namespaces, each with one cable."""

    def __init__(self) -> None:
        self._tag = secrets.token_hex(2)
        number = secrets.randbelow(250) + 1
        self.bridge = f"pq{self._tag}"
        self.address = f"10.213.{number}.1"
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        self.machines = [self._machine(host, f"10.213.{number}.{host + 10}") for host in range(3)]

    def run(self, host: int, program: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["ip", "netns", "exec", self.machines[host], sys.executable, "-c", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def cut(self, host: int) -> None:
        """Pulls the cable of a machine."""
        _ip("link", "set", f"{self.machines[host]}h", "down")

    def mend(self, host: int) -> None:
        _ip("link", "set", f"{self.machines[host]}h", "up")

    def close(self) -> None:
        for machine in self.machines:
            _ip("netns", "del", machine)
        _ip("link", "del", self.bridge)

    def _machine(self, host: int, address: str) -> str:
        name = f"{self.bridge}{host}"
        _ip("netns", "add", name)
        _ip("link", "add", f"{name}h", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"{name}h", "master", self.bridge, "up")
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return name


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


def test_a_machine_that_is_cut_off_loses_its_jobs_to_the_others_and_its_late_word_counts_for_nothing(
    network: Network,
) -> None:
    server = PrivateServer(network.address)
    server.start()
    processes = []
    try:
        with PyQueue(server.url) as queue, psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE done (number int PRIMARY KEY, worker text)")
            queue.push_many("q", [{"name": "n", "data": number} for number in range(60)])
            late = network.run(0, LATECOMER, server.url, "late")
            processes.append(late)
            assert late.stdout is not None and late.stdin is not None
            held = json.loads(late.stdout.readline())

            network.cut(0)
            processes += [network.run(host, WORKER, server.url, f"worker-{host}") for host in (1, 2)]
            eventually(lambda: queue.stats("q").completed == 60, seconds=40)
            network.mend(0)
            late.stdin.write("\n")
            late.stdin.flush()
            outcomes = json.loads(late.stdout.readline())

            assert len(held) == 5
            assert set(outcomes) <= {"INVALID_STATE", "LEASE_LOST"}
            done: dict[int, str] = dict(connection.execute("SELECT number, worker FROM done").fetchall())
            assert sorted(done) == list(range(60))
            assert {done[number] for number in held} <= {"worker-1", "worker-2"}
            assert queue.stats("q").completed == 60
    finally:
        for process in processes:
            process.kill()
            process.wait()
        server.close()
