"""Requests outward: only to public addresses, only to the address that was looked at, and never for long."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyqueue.server.outward import TargetRefused, Undelivered, is_public, post
from tests.server.receiver import receiving


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_known_in_whatever_form(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_known(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "169.254.169.254"])
def test_13_b42_a_target_that_is_not_public_gets_no_connection(host: str) -> None:
    with receiving() as receiver:
        with pytest.raises(Undelivered) as caught:
            post(receiver.url(host=host), b"{}", {}, seconds=1, allows_private=False)

        assert not receiver.deliveries
    assert "127.0.0.1" not in str(caught.value)  # What a name leads to is not told.


def test_13_b42_the_name_is_looked_up_once_and_the_connection_goes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["127.0.0.1", "127.0.0.2"])

    def changing(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    with receiving() as receiver, monkeypatch.context() as patch:
        real = socket.getaddrinfo
        patch.setattr(
            "socket.getaddrinfo",
            lambda host, *rest, **options: changing() if host == "rebound.test" else real(host, *rest, **options),
        )
        status = post(receiver.url(host="rebound.test"), b"{}", {}, seconds=5, allows_private=True)

    assert status == 204
    assert receiver.deliveries[0].headers["host"] == f"rebound.test:{receiver.port}"
    assert next(answers) == "127.0.0.2"  # It was not asked again.


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)

    with pytest.raises(TargetRefused):
        post("http://both.test/", b"{}", {}, seconds=1, allows_private=False)


@contextmanager
def _dripping() -> Iterator[int]:
    """A server that answers a byte at a time, and never to the end."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                while True:
                    connection.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_reply_that_comes_by_drops_is_cut_off_in_time() -> None:
    with _dripping() as port:
        began = time.monotonic()
        with pytest.raises(Undelivered, match="no answer within"):
            post(f"http://127.0.0.1:{port}/", b"{}", {}, seconds=0.3, allows_private=True)

    assert time.monotonic() - began < 3


def test_a_target_that_nobody_listens_at_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(Undelivered, match="refused"):
        post(f"http://127.0.0.1:{port}/", b"{}", {}, seconds=1, allows_private=True)
