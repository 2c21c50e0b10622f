"""Django: workers of a project beside its web processes, and its commands, on either kind of database."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pyqueue import JobState, PyQueue
from tests.contrib.django_shop import Shop, shop_on
from tests.waiting import eventually

pytest.importorskip("django")

# Threads of a web process. What each order does to its transaction is its number; `sent` says whether its receipt is
# to be sent, in its address, and orders that are taken back are not there to be asked.
ORDERS = """
from concurrent.futures import ThreadPoolExecutor
from django.db import connections, transaction
from django.test import Client
from shop.models import Order
from shop.tasks import send_receipt
from pyqueue.contrib.django import queue

class Rolled(Exception): pass

ALIAS = {alias!r}

def push(order):
    return send_receipt.push(order.pk)

def order(kind):
    return Order.objects.create(email=f"{{kind}}@shop")

def commit(): push(order("sent"))

def roll_back():
    push(order("lost"))
    raise Rolled

def roll_back_a_savepoint():
    kept = order("kept")
    try:
        with transaction.atomic(using=ALIAS), transaction.atomic():
            push(kept)
            raise Rolled
    except Rolled:
        pass

def push_on_commit():
    sent = order("sent")
    transaction.on_commit(lambda: push(sent))

def roll_back_before_on_commit():
    lost = order("lost")
    transaction.on_commit(lambda: push(lost))
    raise Rolled

# The transaction of the jobs is the outer one, so that it is committed last: a worker finds the order.
KINDS = [commit, roll_back, roll_back_a_savepoint, push_on_commit, roll_back_before_on_commit]

def take_orders():
    connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
    connections[ALIAS].settings_dict["ATOMIC_REQUESTS"] = True
    client = Client(raise_request_exception=False)
    for _ in range(4):
        for kind in KINDS:
            try:
                with transaction.atomic(using=ALIAS), transaction.atomic():
                    kind()
            except Rolled:
                pass
        assert client.get("/order/").status_code == 200
        assert client.get("/order/?fails=1").status_code == 500
    connections.close_all()

with ThreadPoolExecutor() as pool:
    for each in [pool.submit(take_orders) for _ in range(3)]:
        each.result()
"""
SENT, KEPT = 3 * 4 * 3, 3 * 4


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with shop_on(request.param, tmp_path) as made:
        made.manage("migrate", "--verbosity", "0", "--run-syncdb")
        yield made


@pytest.fixture
def redis() -> Iterator[str]:
    """A server of our own, which keeps nothing, on a socket."""
    if find_spec("django_rq") is None or shutil.which("redis-server") is None:
        pytest.skip("NO REDIS: apt-get install redis-server, pip install django-rq")
    with TemporaryDirectory() as folder:  # The path of a socket must be short.
        place = Path(folder) / "redis.sock"
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", str(place), "--save", ""])
        try:
            eventually(place.exists, what="a Redis")
            yield f"unix://{place}"
        finally:
            server.terminate()
            server.wait()


def test_receipts_of_committed_orders_are_sent_and_of_no_others(shop: Shop) -> None:
    _take_orders(shop, "default")


def test_an_alias_for_jobs_has_transactions_of_its_own(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    with shop_on("sqlite" if shop.url.endswith("shop.db") else "postgresql", tmp_path / "jobs") as other:
        apart = shop.with_jobs_in(other)
        apart.manage("migrate", "--verbosity", "0", "--run-syncdb", "--database", "jobs")
        assert "no issues" in apart.manage("check", "--database", "default", "--database", "jobs").stdout

        _take_orders(apart, "jobs")

        assert shop.code("from pyqueue.contrib.django.models import Job; print(Job.objects.count())") == "0\n"
        assert apart.code("from pyqueue.contrib.django.models import Job; print(Job.objects.count())") == f"{SENT}\n"


def _take_orders(shop: Shop, alias: str) -> None:
    """Orders are taken by threads while two workers send receipts; what was taken back leaves no trace of a job."""
    workers = [shop.start("rqworker", "--concurrency", "2") for _ in range(2)]
    try:
        with PyQueue(shop.url) as queue:
            eventually(lambda: len(queue.workers()) == 2, seconds=30, what="two workers")
            shop.code(ORDERS.format(alias=alias))
            eventually(lambda: queue.stats("default").completed == SENT, seconds=30, what="all receipts")
            counts = queue.stats("default")
    finally:
        said = [_end(worker) for worker in workers]

    assert counts.total == SENT
    found = shop.code(
        "from shop.models import Order\n"
        "print(sorted(Order.objects.values_list('email', 'is_receipt_sent').distinct()), Order.objects.count())"
    )
    assert found == f"[('a@shop', True), ('kept@shop', False), ('sent@shop', True)] {SENT + KEPT}\n"
    assert [status for status, _ in said] == [0, 0], said


def test_a_job_whose_worker_is_killed_is_finished_by_another(shop: Shop) -> None:
    first = shop.start("rqworker", "slow", "--lease-ms", "1000")
    pushed = shop.code(
        "from shop.models import Order\nfrom shop.tasks import take_time\n"
        "print(take_time.push(Order.objects.create(email='a@shop').pk, 1.5))"
    ).strip()
    with PyQueue(shop.url) as queue:
        eventually(lambda: queue.get_job(pushed).state is JobState.ACTIVE, seconds=30, what="the first run")

        first.send_signal(signal.SIGKILL)
        first.wait()
        second = shop.start("rqworker", "--queues", "slow", "--lease-ms", "1000")
        try:
            eventually(lambda: queue.get_job(pushed).state is JobState.COMPLETED, seconds=30, what="the second run")
        finally:
            status, said = _end(second)

    assert status == 0, said


def test_in_mode_process_a_job_that_kills_its_process_is_the_only_one_lost(shop: Shop) -> None:
    shop.code(
        "from shop.models import Order\nfrom shop.tasks import die, greet, send_receipt\n"
        "send_receipt.push(Order.objects.create(email='a@shop').pk)\ngreet.push('you')\n"
        "die.options(max_attempts=1).push()"
    )

    said = shop.manage("rqworker", "--mode", "process", "--concurrency", "1", "--burst", "--max-jobs-per-child", "5")

    assert "mode    process, 1 at a time" in said.stderr
    with PyQueue(shop.url) as queue:
        assert (queue.stats("default").completed, queue.stats("loop").completed) == (1, 1)
        [dead] = queue.list_jobs(state="dlq").jobs
        assert dead.name == "die" and "SIGKILL" in (dead.last_error or "")


def test_both_workers_of_a_project_with_django_rq_can_be_started(shop: Shop, redis: str) -> None:
    ours_first, theirs_first = shop.beside_django_rq("last", redis), shop.beside_django_rq("first", redis)
    push = "from shop.tasks import greet; greet.push('you')"
    push_theirs = "import django_rq; django_rq.enqueue(print, 'theirs')"

    warned = ours_first.manage("check")
    quiet = theirs_first.manage("check")
    ours_first.code(push)
    ours_by_name = ours_first.manage("rqworker", "--burst")
    theirs_first.code(f"{push}\n{push_theirs}")
    theirs_by_name = theirs_first.manage("rqworker", "--burst")
    ours_by_way_of_pyqueue = theirs_first.manage("pyqueue", "worker", "--burst")

    assert "pyqueue.W005" in warned.stderr and "pyqueue.W005" not in quiet.stderr
    assert "1 completed" in ours_by_name.stderr and "1 completed" in ours_by_way_of_pyqueue.stderr
    assert "theirs" in theirs_by_name.stdout.splitlines()


def test_tasks_of_all_kinds_run_in_a_burst(shop: Shop) -> None:
    shop.code("from shop.tasks import greet, report\ngreet.push('you')\nreport.push()")

    said = shop.manage("rqworker", "--burst").stderr

    assert "2 completed, 0 failed" in said
    assert "tasks   count, die, fail, greet, report, send-receipt, take-time" in said


def test_tasks_of_django_run_in_a_worker_that_has_not_imported_them(shop: Shop) -> None:
    shop.code("from shop.later import aadd, add\nadd.using(queue_name='default').enqueue(1, 2)\naadd.enqueue(3, 4)")

    shop.manage("rqworker", "default", "--burst")

    said = shop.code(
        "from pyqueue.contrib.django import queue; print(sorted(j.result for j in queue.list_jobs().jobs))"
    )
    assert said == "[3, 7]\n"


def test_the_commands_of_pyqueue_work_on_the_database_of_the_project(shop: Shop) -> None:
    pushed = shop.code("from shop.tasks import send_receipt; print(send_receipt.push(1))").strip()

    [status] = map(json.loads, shop.manage("pyqueue", "status", "--json").stdout.splitlines())
    cancelled = shop.manage("pyqueue", "cancel", pushed)
    [job] = map(json.loads, shop.manage("pyqueue", "jobs", "--json").stdout.splitlines())

    assert (status["name"], status["counts"]["waiting"]) == ("default", 1)
    assert cancelled.returncode == 0
    assert (job["id"], job["state"]) == (pushed, "cancelled")


def _end(worker: subprocess.Popen[str]) -> tuple[int, str]:
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=30)
    return worker.returncode, said
