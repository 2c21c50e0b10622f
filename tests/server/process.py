"""A real server process on a free port, and a plain HTTP client for it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYQUEUE_")}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


class Client:
    """One request, one connection: nothing of one test is left for the next."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.token = token

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        base: str = "/api/v1",
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        own = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            connection.request(method, base + path, body, own | (headers or {}))
            reply = connection.getresponse()
            return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: Any = None) -> Answer:
        """A JSON body, or none at all and no content type either."""
        if body is None:
            return self.send("POST", path)
        return self.send("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def delete(self, path: str) -> Answer:
        return self.send("DELETE", path)

    def push(self, queue: str, name: str = "n", data: Any = None, **options: Any) -> str:
        answer = self.post(f"/queues/{queue}/jobs", {"name": name, "data": data, **options})
        assert answer.status == 201, answer
        return str(answer.json["id"])

    def pull(self, queue: str, query: str = "") -> Any:
        return self.get(f"/queues/{queue}/jobs{query}").json


class Server(NamedTuple):
    process: subprocess.Popen[str]
    port: int
    tcp_port: int
    path: Path | str
    log: list[str]

    def client(self, token: str | None = None) -> Client:
        return Client(self.port, token)


@contextmanager
def serving(path: Path | str, *arguments: str, **environment: str) -> Iterator[Server]:
    """A server on the storage, with flags and environment."""
    command = [sys.executable, "-m", "pyqueue", "serve", "--storage", str(path), "--http-port", "0", "--tcp-port", "0"]
    process = subprocess.Popen(
        [*command, *arguments],
        env=ENVIRONMENT | environment,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stderr is not None
    log: list[str] = []
    ports: dict[str, int] = {}
    try:
        for line in process.stderr:
            log.append(line)
            if found := re.match(r"(http|tcp) on .+:(\d+)$", line):
                ports[found[1]] = int(found[2])
            if "started" in line:
                break
        assert len(ports) == 2, "".join(log)
        threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True).start()
        yield Server(process, ports["http"], ports["tcp"], path, log)
    finally:
        process.kill()
        process.wait()
