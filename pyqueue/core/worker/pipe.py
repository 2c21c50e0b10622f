"""What a worker and its child processes say to each other: JSON, a line each, over the child's own two pipes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pyqueue.core.job import Job
from pyqueue.core.worker.outcome import Said


class Work(msgspec.Struct, frozen=True):
    """The first line to a child: what it runs, on which storage, and how it logs (None: not at all)."""

    import_path: str
    storage: dict[str, Any]
    log_format: str | None
    log_level: str


class Ready(msgspec.Struct, frozen=True):
    """The first line from a child: it can begin, or cannot."""

    error: str | None = None


class Reply(msgspec.Struct, frozen=True):
    """How a run ended, how long it took, and how much memory the child holds now."""

    end: Said
    seconds: float
    memory_mb: float | None


encode: Final = msgspec.json.encode
decode_work: Final = msgspec.json.Decoder(Work).decode
decode_ready: Final = msgspec.json.Decoder(Ready).decode
decode_job: Final = msgspec.json.Decoder(Job).decode
decode_reply: Final = msgspec.json.Decoder(Reply).decode
