"""Running a server: open the queue, listen, and end in order when told to."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from pyqueue._version import VERSION
from pyqueue.core.errors import ConfigError
from pyqueue.core.queue import PyQueue
from pyqueue.server.app import App
from pyqueue.server.settings import Settings

log = logging.getLogger(__name__)

_BACKLOG: Final = 2_048
# Listening may be told to others: (what is served, host, port).
Told = Callable[[str, str, int], None]


def serve(settings: Settings, tell: Told) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what it has begun; a second signal ends it at once.

    Raises:
        ConfigError: an address cannot be listened on. StorageError: the database cannot be used.
    """
    listener = listen(settings.server.host, settings.server.http_port)
    with PyQueue(
        settings.storage.url, durability=settings.storage.durability, lease_ms=settings.jobs.lease_ms
    ) as queue:
        queue.queues()  # A database that cannot be used is an error of the start.
        queue.start_housekeeping()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(queue, settings, listener, tell))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); is another server there?"
        ) from error


class _Http(uvicorn.Server):
    """uvicorn, with the signals left to us: long polls must end before it waits for its requests."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(queue: PyQueue, settings: Settings, listener: socket.socket, tell: Told) -> None:
    app = App(queue, settings)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # It tells of its start and end; so do we.
    http = _Http(_uvicorn_config(app, settings))

    def stop() -> None:
        if http.should_exit:
            log.warning("stopping at once; what was not finished is given back when its lease is over")
            http.force_exit = True
            return
        log.info("stopping: no new requests, those that run are finished")
        app.stop()
        http.should_exit = True

    with _signals(stop):
        tell("http", settings.server.host, listener.getsockname()[1])
        log.info("started", extra={"version": VERSION, "storage": queue.path, "tokens": len(settings.auth.tokens)})
        await http.serve(sockets=[listener])
    log.info("stopped")


def _uvicorn_config(app: App, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, settings.server.grace_ms // 1_000),
        ws_max_size=65_536,  # What clients of the event stream send means nothing.
        ssl_certfile=settings.tls.cert_path or None,
        ssl_keyfile=settings.tls.key_path or None,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: it doubles the requests per second."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` on the loop for SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
