"""Server-sent events, as the HTML standard puts them."""

from __future__ import annotations

from typing import Final

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"
# A comment so often, so that proxies do not take the silence for the end.
SILENCE_MS: Final = 15_000


def event(name: str, data: bytes, *, last_id: str | None = None) -> bytes:
    """One event; `data` has no line breaks. A client that comes back says the `last_id` that it has seen."""
    mark = b"" if last_id is None else b"id: %s\n" % last_id.encode()
    return mark + b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def comment(text: str) -> bytes:
    """What keeps a connection alive, and is shown to nobody."""
    return b": %s\n\n" % text.encode()
