"""Celery on Redis: tasks that do nothing, one solo worker here. Prints produce, consume and end to end per second."""

import json
import logging
import sys
import threading
import time
from typing import Any

from celery import Celery
from celery.contrib.testing.worker import start_worker

jobs, batch = int(sys.argv[1]), 50
app: Any = Celery("pyqueue-bench", broker="redis://127.0.0.1:6379/9")
app.conf.task_ignore_result = True
app.conf.task_default_queue = "pyqueue-bench"
logging.disable(logging.CRITICAL)
all_done = threading.Event()
done = wanted = 0


def work(number: int) -> None:
    global done
    done += 1
    if done == wanted:
        all_done.set()


noop = app.task(work, name="bench")


def expect(count: int) -> None:
    global done, wanted
    done, wanted = 0, count
    all_done.clear()


def push(count: int) -> None:
    for number in range(count):
        noop.delay(number)


app.control.purge()
started = time.perf_counter()
push(jobs)
produced = time.perf_counter()
expect(jobs)
with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
    all_done.wait()
    consumed = time.perf_counter()
    for _ in range(jobs // batch):
        expect(batch)
        push(batch)
        all_done.wait()
    ended = time.perf_counter()
app.control.purge()
print(json.dumps([jobs / (produced - started), jobs / (consumed - produced), jobs / (ended - consumed)]))
