"""Who asks: recognised by a bearer token, and kept from guessing."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from typing import Final

from pyqueue.server.settings import Auth
from pyqueue.server.tokens import Tokens
from pyqueue.web.errors import Refusal
from pyqueue.web.request import EVERYTHING, Grant

log = logging.getLogger(__name__)

# Addresses whose failures are remembered; the one that failed longest ago is forgotten first.
_ADDRESSES_MAX: Final = 10_000


class Lockout:
    """Counts the failures of each address, as the connection tells it: a header could name any."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._failures_max = failures
        self._seconds = seconds
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def is_locked(self, address: str) -> bool:
        failures, last = self._failures.get(address, (0, 0.0))
        return failures >= self._failures_max and time.monotonic() - last < self._seconds

    def failed(self, address: str) -> None:
        failures, last = self._failures.pop(address, (0, 0.0))
        now = time.monotonic()
        self._failures[address] = (failures + 1 if now - last < self._seconds else 1, now)
        if len(self._failures) > _ADDRESSES_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        self._failures.pop(address, None)


class Authentication:
    """Tells what a request may do. Without tokens everyone may do everything."""

    def __init__(self, settings: Auth) -> None:
        self.tokens = Tokens(settings.tokens)
        self._lockout = Lockout(settings.lockout_failures, settings.lockout_ms / 1_000)

    @property
    def is_on(self) -> bool:
        return bool(self.tokens)

    def of_header(self, header: str | None, address: str) -> Grant:
        """What the `Authorization` header of a request grants.

        Raises:
            Refusal: no header, another scheme, an unknown token; or too many of these from one address. A
                good token is taken even then: who knows it has not guessed it.
        """
        if not self.is_on:
            return EVERYTHING
        if header is None:
            raise _unauthorized("Missing Authorization header; expected 'Authorization: Bearer <token>'.")
        if not header.startswith("Bearer ") or len(header) == len("Bearer "):
            raise _unauthorized("the Authorization header has another form; expected 'Bearer <token>'.")
        return self.of_token(header.removeprefix("Bearer "), address)

    def of_ticket(self, ticket: str, address: str) -> Grant:
        """What a ticket grants.

        Raises:
            Refusal.
        """
        if not self.is_on:
            return EVERYTHING
        return self._recognised(self.tokens.of_ticket(ticket), address, "Invalid ticket; its time may be over.")

    def of_token(self, token: str, address: str) -> Grant:
        """What a token grants.

        Raises:
            Refusal: nobody knows it.
        """
        message = "Invalid token; expected one that this server knows."
        return self._recognised(self.tokens.find(token), address, message)

    def _recognised(self, grant: Grant | None, address: str, message: str) -> Grant:
        if grant is not None:
            self._lockout.succeeded(address)
            return grant
        if self._lockout.is_locked(address):
            raise Refusal("RATE_LIMITED", "too many wrong tokens from this address; try again in some minutes.")
        self._lockout.failed(address)
        log.warning("a wrong token was refused", extra={"address": address})
        raise _unauthorized(message)


def _unauthorized(message: str) -> Refusal:
    return Refusal("UNAUTHORIZED", message, headers=(("www-authenticate", "Bearer"),))
