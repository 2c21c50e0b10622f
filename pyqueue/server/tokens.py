"""Tokens: made, kept as digests, recognised; and tickets, which stand for one for a minute."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from typing import Final

from pyqueue.server.settings import Token
from pyqueue.web.request import Grant

_PREFIX: Final = "pq_"
TICKET_SECONDS: Final = 60


def new_token() -> str:
    """256 random bits; nobody guesses them, so a plain digest is enough to keep them."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


class Tokens:
    """The tokens of a server."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._grants = [
            (token.sha256, Grant(token.name, frozenset(token.roles), frozenset(token.queues) or None))
            for token in tokens
        ]
        # Servers of the same tokens take each other's tickets; others do not.
        self._key = hashlib.sha256("".join(token.sha256 for token in tokens).encode()).digest()

    def __bool__(self) -> bool:
        return bool(self._grants)

    def find(self, token: str) -> Grant | None:
        """What a token grants. All are compared, each in constant time, so that the time taken tells nothing."""
        given, found = digest(token), None
        for kept, grant in self._grants:
            if hmac.compare_digest(given, kept):
                found = grant
        return found

    def ticket_for(self, grant: Grant) -> str:
        """A text that stands for the token of `grant` for a minute: for where a browser can send no header."""
        return self._signed(f"{int(time.time()) + TICKET_SECONDS}:{grant.name}")

    def of_ticket(self, ticket: str) -> Grant | None:
        """What a ticket grants, unless it is forged or its time is over."""
        try:
            facts = base64.urlsafe_b64decode(ticket.partition(".")[0].encode()).decode()
            until, _, name = facts.partition(":")
            is_over = int(until) < time.time()
        except ValueError:
            return None
        if is_over or not hmac.compare_digest(self._signed(facts).encode(), ticket.encode()):
            return None
        return next((grant for _, grant in self._grants if grant.name == name), None)

    def _signed(self, facts: str) -> str:
        signature = hmac.new(self._key, facts.encode(), "sha256").hexdigest()
        return f"{base64.urlsafe_b64encode(facts.encode()).decode()}.{signature}"
