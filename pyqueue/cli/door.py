"""Where a command works: on the file itself, or through a server. Both are asked in the words of the HTTP API."""

from __future__ import annotations

import functools
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode, urlsplit

import click
from click.core import ParameterSource

from pyqueue.cli.storage import open_queue
from pyqueue.core.errors import ConfigError, PyQueueError, ValidationError
from pyqueue.core.queue import PyQueue
from pyqueue.core.validate import queue_name

_TIMEOUT_SECONDS = 60


class ServerRefused(PyQueueError):
    """The server could not be reached, or has said no."""


class Door(Protocol):
    """Takes a request to the API; gives the reply, or raises the error in it."""

    def ask(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any: ...


class Place(NamedTuple):
    """The place that a command was given."""

    storage: str | None
    server: str | None
    token: str | None

    @contextmanager
    def open(self, *, creates: bool = False) -> Iterator[Door]:
        """The door to it."""
        if self.server is not None:
            yield ServerDoor(self.server, self.token)
        elif self.storage is not None:
            with open_queue(self.storage, creates=creates) as queue:
                yield FileDoor(queue)
        else:
            raise ConfigError("no place to work on; give --storage jobs.db or --server http://host:6790.")


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--storage`, `--server` and `--token`, given to the command as `place`. A flag wins over the environment."""

    @functools.wraps(command)
    def run(*args: Any, storage: str | None, server: str | None, token: str | None, **options: Any) -> Any:
        if storage is not None and server is not None:
            source = click.get_current_context().get_parameter_source
            typed = {name for name in ("storage", "server") if source(name) is ParameterSource.COMMANDLINE}
            if len(typed) == 2:
                raise ConfigError("both --storage and --server were given; expected one of them.")
            storage, server = (storage, None) if typed == {"storage"} else (None, server)
        return command(*args, place=Place(storage, server, token), **options)

    decorated: Callable[..., Any] = run
    for flag, variable, shown, text in (
        (
            "--token",
            "PYQUEUE_TOKEN",
            "TOKEN",
            "For --server; others on this machine can see flags.",
        ),
        ("--server", "PYQUEUE_SERVER", "URL", "A server in place of the file, such as http://host:6790."),
        ("--storage", "PYQUEUE_STORAGE", "PATH", "The queue's file, or a URL: sqlite:///jobs.db, postgresql://…."),
    ):
        decorated = click.option(flag, envvar=variable, metavar=shown, help=text, show_envvar=True)(decorated)
    return decorated


def segment(text: str) -> str:
    """A segment of a path."""
    return quote(text, safe="")


def queue_segment(queue: str) -> str:
    """The name of a queue as one. The API often takes any; somebody who types one that no queue has is told."""
    return queue_name(queue)


class FileDoor:
    """The API on the queue itself."""

    def __init__(self, queue: PyQueue) -> None:
        from pyqueue.web.api import Api

        self._api = Api(queue, has_webhooks=True)

    def ask(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        from pyqueue.web.errors import Refusal
        from pyqueue.web.request import EVERYTHING, Reply, Request

        request = Request(
            method=method,
            path=path,
            query=_query(query),
            content_type="application/json",
            body=b"" if body is None else json.dumps(body).encode(),
            grant=EVERYTHING,
        )
        try:
            ready = self._api.plan(request)
            reply = ready if isinstance(ready, Reply) else self._api.carry_out(ready)
        except Refusal as error:
            raise ValidationError(str(error)) from None
        return json.loads(reply.body)


class ServerDoor:
    """The API of a server."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"server {url!r}; expected such as http://localhost:6790.")
        self._host, self._port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 6790)
        self._base = parts.path.rstrip("/") + "/api/v1"
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        target = self._base + path + (f"?{_query(query)}" if query else "")
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        connection = self._kind(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, target, None if body is None else json.dumps(body).encode(), headers)
            status, text = (reply := connection.getresponse()).status, reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerRefused(f"no server answers at {self._host}:{self._port} ({error}); is it running?") from error
        finally:
            connection.close()
        return _checked(status, text)


def _checked(status: int, text: bytes) -> Any:
    try:
        answer = json.loads(text)
        error = None if status < 400 else answer["error"]
    except (ValueError, TypeError, KeyError):
        raise ServerRefused(f"the answer (status {status}) is none of a pyqueue server; check --server.") from None
    if error is None:
        return answer
    if error["code"] == "VALIDATION_ERROR":
        raise ValidationError(error["message"])
    hint = " Give the token in PYQUEUE_TOKEN." if error["code"] == "UNAUTHORIZED" else ""
    raise ServerRefused(f"{error['message']}{hint} ({error['code']})")


def _query(query: Mapping[str, Any] | None) -> str:
    return urlencode({key: value for key, value in (query or {}).items() if value is not None})
