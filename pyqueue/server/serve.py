"""Running a server: open the queue, listen, and end in order when told to."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from pyqueue._version import VERSION
from pyqueue.core.errors import ConfigError
from pyqueue.core.queue import PyQueue
from pyqueue.server.app import App
from pyqueue.server.herald import Herald
from pyqueue.server.settings import Settings
from pyqueue.server.tcp import TcpServer

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
        settings.storage.url,
        durability=settings.storage.durability,
        lease_ms=settings.jobs.lease_ms,
        max_flow_depth=settings.jobs.max_dag_depth,
    ) as queue:
        queue.queues()  # A database that cannot be used is an error of the start.
        queue.start_housekeeping()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
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
        raise _cannot_listen(host, port, error) from error


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    return ConfigError(f"cannot listen on {host}:{port} ({error.strerror or error}); is another server there?")


class _Http(uvicorn.Server):
    """uvicorn, with the signals left to us: long polls must end before it waits for its requests."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(queue: PyQueue, settings: Settings, listener: socket.socket, tell: Told) -> None:
    app = App(queue, settings)
    tcp = await _tcp(queue, app, settings)
    app.measures.gauges["tcp_clients_connected"] = lambda: tcp.connections
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # It tells of its start and end; so do we.
    http = _Http(_uvicorn_config(app, settings))

    def stop() -> None:
        if http.should_exit:
            log.warning("stopping at once; what was not finished is given back when its lease is over")
            http.force_exit = True
            return
        log.info("stopping: no new requests, those that run are finished")
        app.stop()
        if herald is not None:
            herald.stop()
        http.should_exit = True
        drained.append(asyncio.ensure_future(tcp.drain(settings.server.grace_ms / 1_000)))

    herald = Herald(queue, settings.webhooks) if settings.webhooks.enabled else None
    drained: list[asyncio.Future[None]] = []
    with _signals(stop):
        tell("http", settings.server.host, listener.getsockname()[1])
        tell("tcp", settings.server.host, tcp.port)
        log.info("started", extra={"version": VERSION, "storage": queue.path, "tokens": len(settings.auth.tokens)})
        if herald is not None:
            herald.start()
        await http.serve(sockets=[listener])
        if http.force_exit:
            await tcp.close()
        await asyncio.gather(*drained)
        if herald is not None and not http.force_exit:
            await asyncio.to_thread(herald.join)
    log.info("stopped")


async def _tcp(queue: PyQueue, app: App, settings: Settings) -> TcpServer:
    """The TCP protocol, listening.

    Raises:
        ConfigError.
    """
    tls = None
    if settings.tls.cert_path:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(settings.tls.cert_path, settings.tls.key_path)
    admit = app.authentication.of_token if app.authentication.is_on else None
    server = TcpServer(queue, admit=admit, tls=tls, watch=app.measures.committed)
    host, port = settings.server.host, settings.server.tcp_port
    try:
        await server.start(host.strip("[]"), port)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    return server


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


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
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
