"""A server process for the tests: `python -m tests.tcp.runner FILE [--durability D] [--token T] …`; prints its port."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
from functools import partial

from pyqueue import PyQueue
from pyqueue.server.serve import loop_factory
from pyqueue.server.tcp import TcpServer
from pyqueue.web.errors import Refusal
from pyqueue.web.request import EVERYTHING, Grant, Role


def admit_by(roles: dict[str, Grant], token: str, peer: str) -> Grant:
    if token not in roles:
        raise Refusal("UNAUTHORIZED", "Invalid token.")
    return roles[token]


# One of everything for `--token`, and two that may less.
READER = Grant("reader", frozenset({Role.READ}))
WORKER_OF_Q = Grant("worker of q", frozenset({Role.PUSH, Role.WORK}), frozenset({"q"}))


async def serve(arguments: argparse.Namespace) -> None:
    tls = None
    if arguments.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.certificate)
    grants = {arguments.token: EVERYTHING, "reader": READER, "worker-of-q": WORKER_OF_Q}
    async with PyQueue(arguments.file, durability=arguments.durability) as queue:
        server = TcpServer(
            queue,
            admit=partial(admit_by, grants) if arguments.token else None,
            tls=tls,
            connections_max=arguments.connections_max,
        )
        await server.start("127.0.0.1", 0)
        stopped = asyncio.Event()
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        if not arguments.no_housekeeping:
            queue.start_housekeeping()
        print(server.port, flush=True)
        await stopped.wait()
        await server.drain(5)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--durability", default="power")
    parser.add_argument("--token")
    parser.add_argument("--certificate")
    parser.add_argument("--connections-max", type=int, default=1_000)
    parser.add_argument("--no-housekeeping", action="store_true")
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
