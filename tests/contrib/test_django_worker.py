"""Django: workers of a project beside its web processes, and its commands, on either kind of database."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyqueue import JobState, PyQueue
from tests.contrib.django_shop import Shop, shop_on
from tests.waiting import eventually

pytest.importorskip("django")

# Threads of a web process: every second order is taken back, and with it its receipt.
ORDERS = """
import threading
from django.db import connection, transaction
from shop.models import Order
from shop.tasks import send_receipt

class Rolled(Exception): pass

def take_orders(seller):
    for number in range(10):
        try:
            with transaction.atomic():
                order = Order.objects.create(email=f"{seller}-{number}@shop")
                send_receipt.push(order.pk)
                if number % 2:
                    raise Rolled
        except Rolled:
            pass
    connection.close()

sellers = [threading.Thread(target=take_orders, args=(seller,)) for seller in range(3)]
for each in sellers: each.start()
for each in sellers: each.join()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with shop_on(request.param, tmp_path) as made:
        made.manage("migrate", "--verbosity", "0", "--run-syncdb")
        yield made


def test_receipts_of_committed_orders_are_sent_and_of_no_others(shop: Shop) -> None:
    workers = [shop.start("rqworker", "--concurrency", "2") for _ in range(2)]
    try:
        with PyQueue(shop.url) as queue:
            eventually(lambda: len(queue.workers()) == 2, seconds=30, what="two workers")
            shop.code(ORDERS)
            eventually(lambda: queue.stats("default").completed == 15, seconds=30, what="15 receipts")
            counts = queue.stats("default")
    finally:
        said = [_end(worker) for worker in workers]

    assert (counts.completed, counts.dlq, counts.delayed, counts.waiting) == (15, 0, 0, 0)
    assert (
        shop.code(
            "from shop.models import Order\n"
            "print(Order.objects.count(), Order.objects.filter(is_receipt_sent=True).count())"
        )
        == "15 15\n"
    )
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


def test_tasks_of_all_kinds_run_in_a_burst(shop: Shop) -> None:
    shop.code("from shop.tasks import greet, report\ngreet.push('you')\nreport.push()")

    said = shop.manage("rqworker", "--burst").stderr

    assert "2 completed, 0 failed" in said
    assert "tasks   fail, greet, report, send-receipt, take-time" in said


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
