"""Logging of the programs: to stderr, as text for people or as JSON for collectors."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from pyqueue.core.current import current_job

# A LogRecord has a `name` of its own, that of its logger.
_RENAMED: Final = {"job_name": "name"}
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def set_up(log_format: str, level: str) -> None:
    """Sends the records of the whole process to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])


def in_use() -> tuple[str | None, str]:
    """What `set_up` was told, for a process that is to log the same way; no format where it was not called."""
    root = logging.getLogger()
    level = logging.getLevelName(root.level).lower()
    for handler in root.handlers:
        if isinstance(handler.formatter, JsonFormatter):
            return "json", level
        if isinstance(handler.formatter, TextFormatter):
            return "text", level
    return None, level


def facts_of(record: logging.LogRecord) -> dict[str, object]:
    """The job that it was logged in, if any, and what was passed as `extra`."""
    job = current_job()
    facts = {} if job is None else {"job_id": job.id, "queue": job.queue, "name": job.name}
    return facts | {_RENAMED.get(key, key): value for key, value in vars(record).items() if key not in _STANDARD}


class TextFormatter(logging.Formatter):
    """`12:00:01 INFO job completed  job_id=… queue=emails …`"""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        facts = " ".join([f"{key}={value}" for key, value in facts_of(record).items()])
        line = f"{moment} {record.levelname:<7} {record.getMessage()}  {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **facts_of(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry, enc_hook=str).decode()
