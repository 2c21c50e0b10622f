"""How a worker works: its options, checked."""

from __future__ import annotations

import os
from typing import Final, TypedDict

import msgspec

from pyqueue.core import limits, validate
from pyqueue.core.errors import ConfigError
from pyqueue.core.worker import memory
from pyqueue.core.worker.run import Mode

CONCURRENCY_MAX: Final = 10_000
GRACE_MS_DEFAULT: Final = 30_000
PREFETCH_MS_DEFAULT: Final = 50
_COUNT_MAX: Final = 2**31 - 1


class WorkerOptions(TypedDict, total=False):
    """How a worker works. None means "not given" everywhere. Times in milliseconds."""

    mode: Mode | None  # thread | async | process; None: plain functions on threads, async ones on an event loop
    concurrency: int | None  # jobs that run at the same time; default 1, in process mode one per processor
    lease_ms: int | None  # how long a job is this worker's without a heartbeat; None: as the handle says
    burst: bool  # end when nothing is ready
    name: str | None  # what people call it; the first part of its id, whose rest is random
    grace_ms: int | None  # how long running jobs may go on after a stop; default 30,000
    prefetch_ms: int | None  # how long a claimed job may wait here while another worker might be idle; default 50
    max_jobs: int | None  # end after so many
    max_memory_mb: int | None  # beyond it a child process is replaced, and a worker without such ends
    max_jobs_per_child: int | None  # process mode: replace a child after so many
    import_path: str | None  # process mode: MODULE:NAME of what the children run, where it cannot be told


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a worker with their defaults."""

    mode: Mode | None
    concurrency: int
    lease_ms: int
    burst: bool
    name: str | None
    grace_ms: int
    prefetch_ms: int
    max_jobs: int | None
    max_memory_mb: int | None
    max_jobs_per_child: int | None
    import_path: str | None


def settings_of(options: WorkerOptions, lease_ms: int) -> Settings:
    """The options checked, and completed with the defaults; `lease_ms` is the lease of the handle.

    Raises:
        ValidationError: a value does not fit. ConfigError: two do not go together.
    """
    validate.known_keys(options, WorkerOptions.__annotations__, "worker option")
    mode = options.get("mode")
    is_process = mode == "process"
    settings = Settings(
        mode=mode,
        concurrency=_integer(options, "concurrency", _concurrency_of(mode), CONCURRENCY_MAX),
        lease_ms=_integer(options, "lease_ms", lease_ms, limits.LEASE_MS_MAX, limits.LEASE_MS_MIN),
        burst=validate.boolean(options.get("burst", False), "burst"),
        name=_text(options.get("name"), "name", limits.WORKER_NAME_BYTES_MAX),
        grace_ms=_integer(options, "grace_ms", GRACE_MS_DEFAULT, limits.DURATION_MS_MAX, 0),
        prefetch_ms=_integer(options, "prefetch_ms", PREFETCH_MS_DEFAULT, 60_000, 0),
        max_jobs=_limit(options.get("max_jobs"), "max_jobs"),
        max_memory_mb=_limit(options.get("max_memory_mb"), "max_memory_mb"),
        max_jobs_per_child=_limit(options.get("max_jobs_per_child"), "max_jobs_per_child"),
        import_path=_text(options.get("import_path"), "import_path", 1_024),
    )
    for name in ("max_jobs_per_child", "import_path"):
        if getattr(settings, name) is not None and not is_process:
            raise ConfigError(f"{name} is about child processes, which only mode 'process' has; leave it out.")
    if settings.max_memory_mb is not None and not memory.IS_KNOWN:
        raise ConfigError("max_memory_mb: this system does not tell how much memory a process holds; leave it out.")
    return settings


def _concurrency_of(mode: Mode | None) -> int:
    return (os.cpu_count() or 1) if mode == "process" else 1


def _integer(options: WorkerOptions, name: str, default: int, high: int, low: int = 1) -> int:
    value = options.get(name)
    return default if value is None else validate.integer(value, name, low, high)


def _limit(value: object, name: str) -> int | None:
    return None if value is None else validate.integer(value, name, 1, _COUNT_MAX)


def _text(value: object, name: str, size_max: int) -> str | None:
    return None if value is None else validate.text(value, name, size_max)
