"""`once`: what is kept of a step, what is not, and for how long."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pyqueue import JobContext, JobState, PyQueue
from pyqueue.core import limits
from pyqueue.core.errors import ConfigError, LeaseLost, ValidationError
from pyqueue.testing import FakeClock
from tests.naming import shown
from tests.waiting import eventually


@dataclass
class Receipt:
    amount: Decimal
    at: datetime


RECEIPT = Receipt(Decimal("9.90"), datetime(2026, 1, 1, tzinfo=UTC))


def test_a_retry_goes_on_behind_the_steps_that_are_done(queue: PyQueue) -> None:
    calls: list[str] = []

    def charge(order: int, *, currency: str) -> Receipt:
        calls.append(f"charge {order} {currency}")
        return RECEIPT

    def send(receipt: Receipt) -> None:
        calls.append("send")
        if len(calls) < 3:
            raise ConnectionError("no route")

    @queue.task(queue="q", backoff_delay_ms=0)
    def pay(ctx: JobContext, order: int) -> str:
        receipt = ctx.once("charge", charge, order, currency="EUR")
        assert receipt == RECEIPT
        ctx.once("send", send, receipt)
        return str(receipt.amount)

    handle = pay.push(7)
    report = queue.run_worker(burst=True)

    assert (report.completed, report.failed, handle.result(1)) == (1, 1, "9.90")
    assert calls == ["charge 7 EUR", "send", "send"]
    assert [(step.name, step.result) for step in queue.steps(handle)] == [
        ("charge", {"amount": "9.90", "at": "2026-01-01T00:00:00Z"}),
        ("send", None),
    ]


def test_a_step_of_an_async_task_is_kept_too(path: Path) -> None:
    calls: list[int] = []

    async def fetch(number: int) -> Receipt:
        calls.append(number)
        await asyncio.sleep(0)
        return RECEIPT

    async def work() -> None:
        async with PyQueue(path) as queue:

            @queue.task(queue="q", backoff_delay_ms=0)
            async def pay(ctx: JobContext) -> Decimal:
                receipt = await ctx.aonce("fetch", fetch, 5)
                await ctx.alog("fetched")
                await ctx.aheartbeat()
                if ctx.job.attempt == 0:
                    raise ConnectionError("no route")
                return receipt.amount

            handle = await pay.apush()
            await asyncio.to_thread(partial(queue.run_worker, burst=True))
            assert await handle == Decimal("9.90")
            assert [step.name for step in await queue.asteps(handle)] == ["fetch"]
            assert [entry.message for entry in (await queue.aget_job(handle)).logs] == ["fetched", "fetched"]

    asyncio.run(work())

    assert calls == [5]


def test_the_first_attempt_sees_what_later_ones_will_see(queue: PyQueue) -> None:
    queue.push("q", "work")
    [job] = queue.pull("q")

    for _ in range(2):  # A lambda says nothing of its result, so it is plain JSON, the first time too.
        assert queue.once(job, "plain", lambda: RECEIPT) == {  # type: ignore[comparison-overlap]
            "amount": "9.90",
            "at": "2026-01-01T00:00:00Z",
        }
        assert queue.once(job, "nothing", lambda: None) is None
        assert queue.once(job, "partial", partial(int, "7")) == 7


def test_a_step_that_raises_is_not_kept(queue: PyQueue) -> None:
    queue.push("q", "work")
    [job] = queue.pull("q")

    with pytest.raises(ZeroDivisionError):
        queue.once(job, "divide", lambda: 1 / 0)

    assert queue.steps(job) == []
    assert queue.once(job, "divide", lambda: 1.5) == 1.5


@pytest.mark.parametrize("result", [object(), float("nan"), {"a": {object()}}], ids=shown)
def test_a_result_without_json_form_is_refused_and_not_kept(queue: PyQueue, result: Any) -> None:
    queue.push("q", "work")
    [job] = queue.pull("q")

    with pytest.raises(ValidationError, match="step 's' has run, but its result cannot be kept, so a retry will run"):
        queue.once(job, "s", lambda: result)

    assert queue.steps(job) == []


def test_a_result_that_is_not_what_its_function_says_is_refused(queue: PyQueue) -> None:
    def lies() -> int:
        return "text"  # type: ignore[return-value]

    def strange() -> threading.Lock:
        raise AssertionError("not to be called")

    queue.push("q", "work")
    [job] = queue.pull("q")

    with pytest.raises(ValidationError, match="Expected `int`, got `str`"):
        queue.once(job, "s", lies)
    with pytest.raises(ConfigError, match="cannot be read back from JSON"):
        queue.once(job, "s", strange)
    with pytest.raises(ValidationError, match="step name ''"):
        queue.once(job, "", lambda: 1)
    queue.once(job, "s", lambda: "text")
    with pytest.raises(ValidationError, match="give the step another name when its result changes"):
        queue.once(job, "s", lies)


def test_a_run_that_lost_its_lease_neither_begins_a_step_nor_keeps_one(queue: PyQueue, clock: FakeClock) -> None:
    queue.push("q", "work", backoff_delay_ms=0)
    [late] = queue.pull("q", lease_ms=1_000)
    calls: list[str] = []

    def lose() -> str:
        clock.advance(ms=1_001)
        queue.housekeep()
        [later] = queue.pull("q")
        queue.once(later, "s", lambda: "later")
        return "late"

    with pytest.raises(LeaseLost):
        queue.once(late, "s", lose)
    with pytest.raises(LeaseLost):
        queue.once(late, "t", lambda: calls.append("late"))

    assert calls == []
    assert [(step.name, step.result) for step in queue.steps(late)] == [("s", "later")]


def test_two_calls_of_one_step_side_by_side_get_one_result(path: Path) -> None:
    async def number(which: int) -> int:
        await asyncio.sleep(0)
        return which

    async def work() -> None:
        async with PyQueue(path) as queue:
            await queue.apush("q", "work")
            [job] = await queue.apull("q")
            results = await asyncio.gather(*(queue.aonce(job, "s", number, which) for which in range(5)))
            assert len(set(results)) == 1

    asyncio.run(work())


def test_steps_stay_through_the_dead_letters_and_go_with_the_job(queue: PyQueue) -> None:
    job_id = queue.push("q", "work", max_attempts=1)
    [job] = queue.pull("q")
    assert queue.once(job, "s", lambda: 1) == 1
    queue.fail(job, "broken")
    assert queue.get_job(job_id).state is JobState.DLQ

    queue.retry(job_id)
    [job] = queue.pull("q")
    assert queue.once(job, "s", lambda: 2) == 1
    queue.ack(job)
    queue.delete(job_id)

    counted = queue._runtime.read(lambda tx: tx.row("SELECT count(*) FROM pyqueue_step")[0])
    assert counted == 0


def test_a_job_has_a_limit_of_steps(queue: PyQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEPS_MAX", 3)
    queue.push("q", "work")
    [job] = queue.pull("q")
    for number in range(3):
        queue.once(job, str(number), lambda: None)

    with pytest.raises(ValidationError, match="has 3 steps; expected at most so many"):
        queue.once(job, "one more", lambda: None)


def test_a_step_of_a_task_that_is_called_is_simply_called(queue: PyQueue) -> None:
    def receipt() -> Receipt:
        return RECEIPT

    async def areceipt() -> Receipt:
        return RECEIPT

    @queue.task
    def pay(ctx: JobContext) -> Decimal:
        ctx.log("paying")
        ctx.heartbeat()
        return ctx.once("s", receipt).amount

    @queue.task
    async def apay(ctx: JobContext) -> Decimal:
        await ctx.alog("paying")
        await ctx.aheartbeat()
        return (await ctx.aonce("s", areceipt)).amount

    assert pay() == asyncio.run(apay()) == Decimal("9.90")


def test_a_heartbeat_of_a_task_never_shortens_the_lease_of_its_worker(queue: PyQueue) -> None:
    @queue.task(queue="q")
    def work(ctx: JobContext) -> None:
        before = ctx.job.lease_until
        ctx.heartbeat()
        assert not ctx.is_cancelled
        assert queue.get_job(ctx.job).lease_until == before

    handle = work.push()
    queue.run_worker(burst=True, lease_ms=500_000)

    assert handle.result(1) is None


def test_a_job_logs_from_its_first_moment(queue: PyQueue) -> None:
    queue.push("q", "work")
    [job] = queue.pull("q")

    queue.log(job, "begun")

    seen = queue.get_job(job)
    assert (seen.progress, [entry.message for entry in seen.logs]) == (0, ["begun"])
    queue.progress(job, 40)
    queue.log(job, "more")
    assert queue.get_job(job).progress == 40
    with pytest.raises(ValidationError, match="log message ''"):
        queue.log(job, "")


WORKER = """
import os, signal, sys
from pathlib import Path
from pyqueue import JobContext, PyQueue

url, seen = sys.argv[1], Path(sys.argv[2])
queue = PyQueue(url, lease_ms=300)

def note(step):
    with seen.open("a") as file:
        file.write(step + "\\n")
    if step == "second" and seen.read_text().count(step) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step

@queue.task(queue="q", backoff_delay_ms=0)
def work(ctx: JobContext) -> None:
    for step in ("first", "second", "third"):
        ctx.once(step, note, step)

queue.run_worker(burst=True, lease_ms=300)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_worker_repeats_the_step_it_was_in_and_none_before(path: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with PyQueue(path) as queue:
        job_id = queue.push("q", "work", backoff_delay_ms=0)
        first = subprocess.run([sys.executable, "-c", WORKER, str(path), str(seen)], check=False)
        assert first.returncode == -signal.SIGKILL
        eventually(lambda: queue.housekeep() and queue.get_job(job_id).state is JobState.WAITING, what="the lapse")

        second = subprocess.run([sys.executable, "-c", WORKER, str(path), str(seen)], check=False)

        assert (second.returncode, queue.get_job(job_id).state) == (0, JobState.COMPLETED)
    assert seen.read_text().split() == ["first", "second", "second", "third"]
