"""TLS from the settings: HTTP, WebSocket and TCP on one certificate, and commands that check it."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.sync.client import connect

from tests.server.process import ENVIRONMENT, Server, serving
from tests.tcp.clients import Client as TcpClient


class Guarded(NamedTuple):
    server: Server
    certificate: Path

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server with a certificate that it has signed itself, made by openssl."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    try:
        subprocess.run([*command, *names, "-keyout", key, "-out", made], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("NO OPENSSL: apt-get install openssl")
    with serving(folder / "jobs.db", PYQUEUE_TLS_CERT_PATH=str(made), PYQUEUE_TLS_KEY_PATH=str(key)) as server:
        yield Guarded(server, made)


def test_b23_http_is_served_over_tls_and_not_in_the_clear(guarded: Guarded) -> None:
    connection = http.client.HTTPSConnection("localhost", guarded.server.port, context=guarded.context, timeout=10)
    body = json.dumps({"name": "n", "data": 1})
    connection.request("POST", "/api/v1/queues/q/jobs", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()

    assert reply.status == 201 and json.loads(reply.read())["ok"]
    connection.close()
    with pytest.raises((OSError, http.client.HTTPException)):
        guarded.server.client().get("/health")


def test_b23_the_websocket_is_served_over_tls(guarded: Guarded) -> None:
    with connect(f"wss://localhost:{guarded.server.port}/api/v1/events", ssl=guarded.context) as socket:
        assert socket.ping().wait(timeout=10)


def test_b23_tcp_speaks_tls_with_the_same_certificate(guarded: Guarded) -> None:
    context = guarded.context
    context.check_hostname = False
    with TcpClient(guarded.server.tcp_port) as client:
        client.wrap(context)
        assert client.call("ping") == {"ok": True}


@pytest.mark.parametrize(("trusts", "code"), [(True, 0), (False, 1)])
def test_commands_check_the_certificate(guarded: Guarded, trusts: bool, code: int) -> None:
    trusted = {"SSL_CERT_FILE": str(guarded.certificate)} if trusts else {}
    command = [sys.executable, "-m", "pyqueue", "status", "--server", f"https://localhost:{guarded.server.port}"]
    ended = subprocess.run(command, env=ENVIRONMENT | trusted, capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == code, ended.stderr
    assert trusts or "certificate" in ended.stderr.lower()
