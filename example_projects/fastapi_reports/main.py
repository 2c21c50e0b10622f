"""Reports on prime numbers, made by jobs of this process: a form, a status that is pushed to the page, a schedule."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from pyqueue import JobContext, Tasks
from pyqueue.contrib.fastapi import Accepted, JobStatus, QueueDep, accepted, lifespan, status_of, status_router

HERE = Path(__file__).parent
STORAGE = os.environ.get("PYQUEUE_STORAGE") or HERE / "reports.db"
UP_TO_MAX = 1_000_000

tasks = Tasks()


@dataclass
class Report:
    """What a report says."""

    primes: int
    largest: int
    widest_gap: int


@tasks.cron("0 6 * * *", arguments={"up_to": UP_TO_MAX})
@tasks.task(queue="numbers", timeout_ms=60_000)
def build_report(ctx: JobContext, up_to: int) -> Report:
    """Looks at the primes from 3 on, and says how far it is: every morning at six, and whenever it is asked for."""
    report, percent = Report(primes=1, largest=2, widest_gap=0), 0
    for prime in primes(up_to):
        report.primes += 1
        report.widest_gap = max(report.widest_gap, prime - report.largest)
        report.largest = prime
        if 100 * prime // up_to >= percent + 5:
            percent = 100 * prime // up_to
            ctx.progress(percent, f"{report.primes:,} primes up to {prime:,}")
    ctx.progress(100)
    return report


def primes(up_to: int) -> Iterator[int]:
    """The odd ones, by trial division."""
    for number in range(3, up_to + 1, 2):
        if all(number % divisor for divisor in range(3, int(number**0.5) + 1, 2)):
            yield number


app = FastAPI(title="Reports", lifespan=lifespan(STORAGE, tasks=tasks, workers=2))


class ReportOrder(BaseModel):
    """A report that somebody wants."""

    up_to: int = Field(500_000, ge=10, le=UP_TO_MAX)


@app.post("/reports", status_code=202, response_model=Accepted)
async def order_report(order: ReportOrder, request: Request) -> Response:
    """Stores the job, and tells where its status is."""
    return accepted(request, await build_report.apush(order.up_to))


@app.get("/reports")
async def latest_reports(queue: QueueDep) -> list[JobStatus]:
    """The latest ten, the newest first."""
    page = await queue.alist_jobs(queue="numbers", limit=10)
    return [status_of(job) for job in page.jobs]


# GET /reports/{job_id}, and /reports/{job_id}/events for pages that want to see it happen.
app.include_router(status_router("/reports"))


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The form."""
    return FileResponse(HERE / "page.html")
