"""Web: requests that push, beside the same server doing nothing, and beside RQ and huey.

uvicorn with four processes (FastAPI) and gunicorn with four forked ones of eight threads each (Flask), on one SQLite
file; 64 connections of wrk on the same cores. "raw" beside "doing nothing" is an endpoint without a push, the ratio
pyqueue's share of its rate; beside RQ and huey, "raw" is the same endpoint pushing to them, in turn. RQ's Redis and
huey's file are as they come, neither synced to the disk, so both of pyqueue's durabilities stand beside them; "power"
syncs every push before it answers. In FastAPI the others' pushes, which block, run on its threads. "executed": under
load, with a worker beside it, every push that was accepted is run once: jobs stored, run, and run again; what fails
counts as an error.
"Stall": how late an event loop comes back from a pause of 2 ms, in one process, while 64 clients push to it; "other
requests" are those of one more client meanwhile. Both in ms; raw is the same while the 64 ask for a page that pauses
for 4 ms instead of pushing. What the p99 shows is Python's garbage collector: where requests wait, for whatever it be,
it looks through all objects of the application again and again. "frozen" is after `gc.freeze()` at the start.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from bench.measure import Row, folder, percentile, ratio_row
from bench.peer.processes import environment_of, free_port, process, python_of_peers, redis, wait_for_port
from pyqueue import PyQueue

CLIENTS = 64
PROCESSES = 4
_OURS = ("power", "process")
_THEIRS = {"RQ (Redis)": "by_rq", "huey (SQLite)": "by_huey"}
_ERRORS = re.compile(r"(?:Non-2xx or 3xx responses: (\d+))|(?:Socket errors: connect (\d+), read (\d+), write (\d+))")


class Server(NamedTuple):
    """How an application is served, with `{port}` and `{processes}` filled in, and how its jobs are run."""

    name: str
    queue: str  # the module of ours that it pushes by
    command: tuple[str, ...]
    worker: tuple[str, ...]


SERVERS = (
    Server(
        "FastAPI",
        "by_pyqueue",
        ("-m", "uvicorn", "bench.peer.asgi_site:app", "--port", "{port}", "--workers", "{processes}",
         "--no-access-log", "--log-level", "warning"),
        ("-m", "pyqueue", "worker", "bench.peer.by_pyqueue:queue"),
    ),
    Server(
        "Flask",
        "by_flask_queue",
        ("-m", "gunicorn", "bench.peer.wsgi_site:app", "--bind", "127.0.0.1:{port}", "--workers", "{processes}",
         "--worker-class", "gthread", "--threads", "8", "--preload", "--log-level", "warning"),
        ("-m", "flask", "--app", "bench.peer.wsgi_site:app", "pyqueue", "worker"),
    ),
)  # fmt: skip


class Load(NamedTuple):
    """What wrk saw."""

    requests: int
    rate: float
    errors: int


def run(*, quick: bool) -> list[Row]:
    for program in ("wrk", "redis-server"):
        if shutil.which(program) is None:
            return [Row("web", "", f"not measured: no {program} here")]
    rounds, seconds = (1, 2) if quick else (3, 5)
    rows: list[Row] = []
    for server in SERVERS:
        rows += _rates(server, rounds, seconds)
        rows.append(_executed(server, 5 if quick else 30))
    return [*rows, *_latencies(3 if quick else 10)]


def _rates(server: Server, rounds: int, seconds: int) -> Iterator[Row]:
    with ExitStack() as stack:
        ports = {
            durability: stack.enter_context(_serving(server, server.queue, durability=durability))
            for durability in _OURS
        }
        ports |= {name: stack.enter_context(_serving(server, module)) for name, module in _THEIRS.items()}
        taken: list[dict[str, float]] = []
        for number in range(rounds):
            turns = [("nothing", ports["power"], "/nothing"), *((name, port, "/push") for name, port in ports.items())]
            loads = {name: _load(port, path, seconds) for name, port, path in (turns if number % 2 else turns[::-1])}
            wrong = {name: load.errors for name, load in loads.items() if load.errors and name in {*_OURS, "nothing"}}
            assert not wrong, f"requests failed: {wrong}"
            taken.append({name: load.rate for name, load in loads.items()})
    for durability in _OURS:
        what = f"{server.name}: pushes, {durability}, beside doing nothing"
        yield ratio_row(what, [(round_["nothing"], round_[durability]) for round_ in taken])
    for name in _THEIRS:
        for durability in _OURS:
            what = f"{server.name}: pushes, {durability}, beside {name}"
            yield ratio_row(what, [(round_[name], round_[durability]) for round_ in taken], goal=1.0)


def _executed(server: Server, seconds: int) -> Row:
    """A load with a worker at work; then everything that was stored, and what was run."""
    with folder() as place, ExitStack() as stack:
        runs = place / "runs"
        runs.touch()
        settings = {"BENCH_FILE": str(place / "bench.db"), "BENCH_RUNS": str(runs)}
        port = stack.enter_context(_serving(server, server.queue, settings=settings))
        command = [python_of_peers("web"), *server.worker, "--concurrency", "8"]
        environment = environment_of(BENCH_QUEUE=server.queue, **settings)
        stack.enter_context(process(command, environment, keeps_output=False))
        load = _load(port, "/note", seconds)
        with PyQueue(settings["BENCH_FILE"]) as queue:
            deadline = time.monotonic() + 4 * seconds + 30
            while (counts := queue.stats("notes")).waiting + counts.active and time.monotonic() < deadline:
                time.sleep(0.05)
        ran = Counter(runs.read_text().split())
    again = ran.total() - len(ran)
    # The last requests of wrk may be stored although it did not wait for their answers.
    is_whole = load.requests <= counts.completed <= load.requests + CLIENTS and len(ran) == counts.completed
    return Row(
        f"{server.name}: pushed for {seconds} s and executed",
        f"{load.requests:,} accepted, {load.errors} errors",
        f"{counts.completed:,} stored, {len(ran):,} run, {again} twice",
        f"{load.rate:,.0f}/s",
        "each once, no error",
        is_whole and not again and not load.errors,
    )


def _latencies(seconds: int) -> Iterator[Row]:
    """One process of FastAPI: its event loop, and another client, while `CLIENTS` push."""
    site = SERVERS[0]
    kinds = [(durability, durability, "") for durability in _OURS] + [("power, frozen", "power", "1")]
    for kind, durability, freezes in kinds:
        settings = {"BENCH_FREEZES": freezes}
        with _serving(site, site.queue, processes=1, durability=durability, settings=settings) as port:
            seen = {path: _beside(port, path, seconds) for path in ("/pause", "/push")}
        for what, index in (("stall", 0), ("other requests", 1)):
            idle, busy = seen["/pause"][index], seen["/push"][index]
            yield Row(
                f"FastAPI, {kind}: {what}, p50 · p99, {CLIENTS} clients push",
                f"{percentile(idle, 0.5):.1f} · {percentile(idle, 0.99):.1f} ms",
                f"{percentile(busy, 0.5):.1f} · {percentile(busy, 0.99):.1f} ms",
                f"{percentile(busy, 0.99) / percentile(idle, 0.99):.2f}",
            )


def _beside(port: int, path: str, seconds: int) -> tuple[list[float], list[float]]:
    """The stalls of the loop and the waits of another client, in milliseconds, during a load."""
    with ThreadPoolExecutor(2) as threads:
        loading = threads.submit(_load, port, path, seconds + 2)
        time.sleep(0.5)
        measuring = threads.submit(_get, port, f"/stalls?seconds={seconds}")
        waits = []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not measuring.done():
            began = time.perf_counter()
            connection.request("GET", "/nothing")
            connection.getresponse().read()
            waits.append((time.perf_counter() - began) * 1_000)
            time.sleep(0.005)
        connection.close()
        load = loading.result()
    assert not load.errors, f"{load.errors} requests failed"
    return measuring.result(), waits


def _get(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@contextmanager
def _serving(
    server: Server,
    module: str,
    *,
    processes: int = PROCESSES,
    durability: str = "power",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[int]:
    """The application on a queue, in a folder of its own unless `settings` say where; gives its port."""
    port = free_port()
    filled = [part.format(port=port, processes=processes) for part in server.command]
    with folder() as place, ExitStack() as stack:
        address = stack.enter_context(redis(place)) if module == "by_rq" else ""
        given = {"BENCH_FILE": str(place / "bench.db"), "BENCH_RUNS": str(place / "runs"), **settings}
        environment = environment_of(
            BENCH_QUEUE=module, BENCH_DURABILITY=durability, BENCH_REDIS=address, RQ_REDIS_URL=address, **given
        )
        stack.enter_context(process([python_of_peers("web"), *filled], environment, keeps_output=False))
        wait_for_port(port, 30)
        _load(port, "/push", 1)  # All its processes are up, and have opened the file.
        yield port


def _load(port: int, path: str, seconds: int) -> Load:
    """What wrk makes of the path in so many seconds."""
    command = ["wrk", "-t", "1", "-c", str(CLIENTS), "-d", f"{seconds}s", "--timeout", "30s"]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True
    ).stdout
    requests = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]  # wrk says so
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    errors = sum(int(number) for found in _ERRORS.findall(text) for number in found if number)
    return Load(requests, rate, errors)
