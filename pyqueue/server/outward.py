"""Requests from the server outward, to addresses that others have chosen.

Whoever may register a webhook must not be able to make the server ask machines that only it can reach. So the name
is looked up once, every address it has must be a public one, and the connection goes to the very address that was
looked at: a name that changes its answer in between gains nothing. Redirects are not followed, proxies of the
environment are not used, and nothing of the reply but its status is kept.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Undelivered(Exception):
    """The request was not answered. It may be another time."""


class TargetRefused(Undelivered):
    """The URL leads where the server may not send anything."""


def post(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, allows_private: bool) -> int:
    """Posts `body`; gives the status of the reply. Takes no longer than `seconds` once the name is looked up.

    Raises:
        Undelivered, TargetRefused.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _looked_up(host, port, allows_private=allows_private)
    connection = _Pinned(
        host, port, address, seconds, ssl.create_default_context() if parts.scheme == "https" else None
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    timer = threading.Timer(seconds, connection.cut)
    timer.daemon = True
    timer.start()
    try:
        connection.request("POST", path, body, dict(headers))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        told = f"no answer within {seconds:g} s" if connection.is_cut or isinstance(error, TimeoutError) else str(error)
        raise Undelivered(f"{told or type(error).__name__}.") from error
    finally:
        timer.cancel()
        connection.close()


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, also where it is written as one of another kind."""
    found: _Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return _is_public(found.ipv4_mapped)
        if found in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF))
        if not all(each is None or _is_public(each) for each in (found.sixtofour, *(found.teredo or ()))):
            return False
    return _is_public(found)


def _is_public(address: _Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _looked_up(host: str, port: int, *, allows_private: bool) -> str:
    """The address to connect to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Undelivered(f"the name of the host was not found ({error}).") from error
    addresses = [str(each[4][0]) for each in found]
    if not allows_private and not all(map(is_public, addresses)):
        raise TargetRefused("the host has an address that is not public; webhooks.allow_private would allow it.")
    return addresses[0]


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was looked up before; the name is for `Host` and the certificate only."""

    def __init__(self, host: str, port: int, address: str, seconds: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=seconds)
        self.default_port = http.client.HTTP_PORT if tls is None else http.client.HTTPS_PORT
        self.is_cut = False
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """Ends it, from another thread: a reply that comes by drops has taken long enough."""
        self.is_cut = True
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
