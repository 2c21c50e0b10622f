"""What the child processes of the tests run: they import it by its name."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pyqueue import Discard, Job, JobContext, Retry, Snooze, Tasks
from tests.waiting import eventually

tasks = Tasks()
kept: list[bytearray] = []


def handle(job: Job) -> Any:
    """Does what the job is called after."""
    return globals()[f"_{job.name}"](job)


async def ahandle(job: Job) -> Any:
    return [job.data, os.getpid()]


def _echo(job: Job) -> Any:
    return job.data


def _pid(job: Job) -> int:
    return os.getpid()


def _die(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exit(job: Job) -> None:
    os._exit(7)


def _leave(job: Job) -> None:
    sys.exit(3)


def _crash(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _close_everything(job: Job) -> None:
    os.closerange(3, 256)
    time.sleep(60)


def _fork_and_die(job: Job) -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def _spin(job: Job) -> None:
    (Path(job.data) / f"spinning-{os.getpid()}").touch()
    while True:
        pass


def _start_a_program_and_hang(job: Job) -> None:
    program = subprocess.Popen(["sleep", "60"])
    (Path(job.data) / "program").write_text(str(program.pid))
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(60)


def _grow(job: Job) -> int:
    kept.append(bytearray(os.urandom(1) * (job.data * 2**20)))
    return os.getpid()


def _wait(job: Job) -> str:
    (Path(job.data) / "started").touch()
    eventually((Path(job.data) / "go-on").exists, seconds=30)
    return "waited"


def _print(job: Job) -> str:
    print("a handler prints", sys.stdin.read())
    return "printed"


def _raise(job: Job) -> None:
    raise LookupError("no such customer")


def _retry(job: Job) -> str:
    if job.attempt == 0:
        raise Retry("not yet", delay_ms=1)
    return "retried"


def _snooze(job: Job) -> str:
    if job.lease == 1:
        raise Snooze(1)
    return "woken"


def _discard(job: Job) -> None:
    raise Discard("no point")


def _unstorable(job: Job) -> object:
    return object()


def _noted(job: Job) -> None:
    """Leaves a line when it begins and one when it ends, whichever process it is in."""
    with open(job.data["file"], "a") as file:
        file.write(f"begin {job.id} {os.getpid()}\n")
        file.flush()
        time.sleep(job.data["seconds"])
        file.write(f"end {job.id} {os.getpid()}\n")


@tasks.task(queue="q", max_attempts=1)
def total(ctx: JobContext, numbers: list[int], when: float) -> dict[str, Any]:
    ctx.progress(50, "half")
    ctx.log("adding")
    twice = [ctx.once("sum", sum, numbers) for _ in range(2)]
    return {"total": twice, "key": ctx.idempotency_key, "pid": os.getpid(), "cancelled": ctx.is_cancelled}


@tasks.task(queue="q")
async def atotal(ctx: JobContext, numbers: list[int]) -> int:
    await ctx.aprogress(50)
    return sum(numbers)


@tasks.task(queue="q")
def wait_for_cancel(ctx: JobContext, folder: str) -> str:
    (Path(folder) / "started").touch()
    eventually(lambda: ctx.is_cancelled, seconds=30)
    (Path(folder) / "noticed").touch()
    return "noticed"
