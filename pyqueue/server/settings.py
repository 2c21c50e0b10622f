"""The settings of a server: one frozen struct for each part. Times in milliseconds."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from pyqueue.core import limits
from pyqueue.web.request import Role

Port = Annotated[int, Meta(ge=0, le=65_535)]
Milliseconds = Annotated[int, Meta(ge=0, le=limits.DURATION_MS_MAX)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it listens, and how much it takes."""

    host: str = "127.0.0.1"
    http_port: Port = 6790  # 0: any that is free
    tcp_port: Port = 6789
    body_bytes_max: Annotated[int, Meta(ge=1_024)] = 2_097_152
    streams_max: Annotated[int, Meta(ge=0)] = 200  # clients that follow the events
    grace_ms: Milliseconds = 30_000  # for requests that run when the server is told to stop


class Storage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The database."""

    url: str = ""
    durability: Literal["power", "process"] = "power"


class Token(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One who may ask: the SHA-256 of the token, never the token itself. No `queues`: all of them."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    sha256: Digest
    roles: Annotated[tuple[Role, ...], Meta(min_length=1)]
    queues: tuple[str, ...] = ()


class Auth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may ask. Without tokens everyone on this machine may, and nobody else can reach the server."""

    tokens: tuple[Token, ...] = ()
    lockout_failures: Annotated[int, Meta(ge=1)] = 5
    lockout_ms: Milliseconds = 300_000


class Browsers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pages of other origins that may use the API; "*" is any page, as RustQueue has it."""

    cors_origins: tuple[str, ...] = ()


class Jobs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for jobs where a request says nothing."""

    lease_ms: Annotated[int, Meta(ge=limits.LEASE_MS_MIN, le=limits.LEASE_MS_MAX)] = limits.LEASE_MS_DEFAULT
    max_dag_depth: Annotated[int, Meta(ge=0, le=limits.FLOW_DEPTH_MAX)] = 10


class Logging(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to stderr, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Webhooks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telling others of what happens to jobs. `allow_private`: also at addresses that are not public."""

    enabled: bool = False
    allow_private: bool = False
    delivery_timeout_ms: Annotated[int, Meta(ge=1, le=600_000)] = 5_000
    max_retries: Annotated[int, Meta(ge=0, le=100)] = 3
    retry_base_delay_ms: Milliseconds = 1_000
    disable_after: Annotated[int, Meta(ge=1)] = 20  # deliveries in a row that were given up
    concurrency: Annotated[int, Meta(ge=1, le=1_000)] = 8


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PEM files, for HTTP and TCP alike; both or none."""

    cert_path: str = ""
    key_path: str = ""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    server: Server = Server()
    storage: Storage = Storage()
    auth: Auth = Auth()
    browsers: Browsers = Browsers()
    jobs: Jobs = Jobs()
    logging: Logging = Logging()
    tls: Tls = Tls()
    webhooks: Webhooks = Webhooks()


PARTS: Final[dict[str, type[Struct]]] = {
    "server": Server,
    "storage": Storage,
    "auth": Auth,
    "browsers": Browsers,
    "jobs": Jobs,
    "logging": Logging,
    "tls": Tls,
    "webhooks": Webhooks,
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
