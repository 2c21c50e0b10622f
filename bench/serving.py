"""The server as a process: its memory, its start, and how long its event loop is held up

Start: from the call of `pyqueue serve` to the answer of `GET /api/v1/health`, wall time (and processor time, which a
busy machine does not stretch), beside a Python that does nothing. Memory: the resident set (`VmRSS`) of a server that
has answered one request and waits. Late: a timer in the server's own event loop asks for every 5 ms; what it comes
too late is what a client waits for nothing. The load is 8 TCP clients (batches of 50: push, pull, acknowledge) and 8
HTTP clients (single jobs) on this machine, which take their share of its cores. Raw is the same server without load.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.measure import Row, folder, spread
from bench.start import with_bytecode

MEMORY_GOAL_MB = 60.0
START_GOAL_SECONDS = 0.7
_CLIENTS_OF_EACH = 8
_PUSH = {"cmd": "push_batch", "queue": "q", "jobs": [{"name": "n", "data": {"to": "user@example.org"}}] * 50}

# `pyqueue serve` with a timer on its loop; at its end it tells how late that came, in milliseconds.
_SERVER = """
import asyncio, sys, time
from pyqueue.server import configuration
from pyqueue.server.serve import serve

late = []

def tick(loop, due):
    now = time.perf_counter()
    late.append(now - due)
    loop.call_later(0.005, tick, loop, now + 0.005)

def tell(what, host, port):
    print(what, port, flush=True)
    if what == "tcp":
        loop = asyncio.get_running_loop()
        loop.call_later(0.005, tick, loop, time.perf_counter() + 0.005)

sys.setswitchinterval(0.0005)
flags = {("storage", "url"): sys.argv[1], ("storage", "durability"): sys.argv[2],
         ("server", "http_port"): 0, ("server", "tcp_port"): 0}
serve(configuration.load(flags=flags, environ={}), tell)
late.sort()
print(*(1_000 * late[min(len(late) - 1, int(len(late) * share))] for share in (0.5, 0.99, 1.0)))
"""


class Late(NamedTuple):
    """By how many milliseconds the timer came too late."""

    p50: float
    p99: float
    most: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, most {self.most:.1f} ms"


def run(*, quick: bool) -> list[Row]:
    with folder() as path:
        starts = [_started(path / f"start-{number}.db") for number in range(3 if quick else 11)]
        rows = [_start_row(starts), _memory_row([start.size_mb for start in starts])]
        seconds = 3.0 if quick else 15.0
        for durability in ("power", "process"):
            idle = _late(path / f"{durability}-idle.db", durability, seconds, loads=False)
            busy = _late(path / f"{durability}-busy.db", durability, seconds, loads=True)
            rows.append(Row(f"event loop late under load, {durability}", str(idle), str(busy)))
    return rows


class Start(NamedTuple):
    """A start of the server, in seconds, and of a bare Python just before; and what the server then holds."""

    bare: float
    seconds: float
    processor: float
    size_mb: float


def _start_row(starts: Sequence[Start]) -> Row:
    seconds = statistics.median(start.seconds for start in starts)
    return Row(
        "start to the first answered request",
        f"{statistics.median(start.bare for start in starts):.2f} s",
        f"{spread([start.seconds for start in starts])} s, "
        f"{statistics.median(start.processor for start in starts):.2f} s of a processor",
        spread([start.seconds / start.bare for start in starts], 1),
        f"< {START_GOAL_SECONDS:g} s",
        seconds < START_GOAL_SECONDS,
    )


def _bare_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", ""], env=with_bytecode(), check=True)
    return time.perf_counter() - began


def _memory_row(sizes_mb: list[float]) -> Row:
    median = statistics.median(sizes_mb)
    return Row("memory of an idle server", "", spread(sizes_mb, 1) + " MB", "", "< 60 MB", median < MEMORY_GOAL_MB)


def _started(file: Path) -> Start:
    bare, port = _bare_seconds(), _free_port()
    command = [sys.executable, "-m", "pyqueue", "serve", "--storage", str(file), "--http-port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--tcp-port", "0", "--log-level", "error"], env=with_bytecode(), stderr=subprocess.DEVNULL
    )
    try:
        while not _answers(port):
            assert process.poll() is None, "the server has ended"
            time.sleep(0.002)
        seconds = time.perf_counter() - began
        processor = _processor_seconds(process.pid)
        time.sleep(1.0)  # What the start leaves behind is let go.
        return Start(bare, seconds, processor, _resident_mb(process.pid))
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        return _request(port, "GET", "/health")["ok"] is True
    except OSError:
        return False


def _processor_seconds(pid: int) -> float:
    """What the process has had of a processor, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _late(file: Path, durability: str, seconds: float, *, loads: bool) -> Late:
    """How late the timer of a server comes."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(file), durability], env=with_bytecode(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        ports = dict(process.stdout.readline().split() for _ in range(2))
        with _load(int(ports["http"]), int(ports["tcp"]), 2 * _CLIENTS_OF_EACH if loads else 0):
            time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        return Late(*map(float, process.stdout.readline().split()))
    finally:
        process.kill()
        process.wait()


@contextmanager
def _load(http_port: int, tcp_port: int, clients: int) -> Iterator[None]:
    """Clients in processes of their own, so that they do not wait for each other; half of them over either."""
    ports = {"tcp": str(tcp_port), "http": str(http_port)}
    kinds = [kind for kind in ports for _ in range(clients // 2)]
    children = [subprocess.Popen([sys.executable, "-m", "bench.serving", kind, ports[kind]]) for kind in kinds]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def _work_over_tcp(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rwb") as lines:

        def call(command: Mapping[str, object]) -> dict[str, object]:
            lines.write(json.dumps(command).encode() + b"\n")
            lines.flush()
            reply: dict[str, object] = json.loads(lines.readline())
            return reply

        while True:
            call(_PUSH)
            jobs = call({"cmd": "pull", "queue": "q", "count": 50})["jobs"]
            assert isinstance(jobs, list)
            call({"cmd": "ack_batch", "ids": [job["id"] for job in jobs]})


def _work_over_http(port: int) -> None:
    while True:
        _request(port, "POST", "/queues/q/jobs", {"name": "n", "data": 1})
        job = _request(port, "GET", "/queues/q/jobs")["job"]
        if isinstance(job, dict):
            _request(port, "POST", f"/jobs/{job['id']}/ack", {})


def _request(port: int, method: str, path: str, body: object = None) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        text = None if body is None else json.dumps(body).encode()
        connection.request(method, "/api/v1" + path, text, {"Content-Type": "application/json"})
        answer: dict[str, object] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


if __name__ == "__main__":
    {"tcp": _work_over_tcp, "http": _work_over_http}[sys.argv[1]](int(sys.argv[2]))
