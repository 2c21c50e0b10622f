"""The reports in FastAPI, started by their one command and used in a browser."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from pyqueue import PyQueue
from tests.browser.running import running
from tests.waiting import eventually

pytest.importorskip("fastapi")

REPORT = "41,538 primes, the largest 499,979"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports") / "reports.db"


@pytest.fixture(scope="module")
def url(database: Path) -> Iterator[str]:
    with running(database, "example-fastapi") as [program]:
        yield program.url


@pytest.fixture
def queue(database: Path) -> Iterator[PyQueue]:
    with PyQueue(database) as opened:
        yield opened


def test_a_report_is_made_before_ones_eyes(url: str, queue: PyQueue, browser: webdriver.Chrome) -> None:
    queue.pause("numbers", pushes=False, pulls=True)
    browser.get(url)
    browser.find_element(By.TAG_NAME, "button").click()
    eventually(lambda: browser.find_element(By.ID, "state").text == "waiting", what="a report that waits")
    queue.resume("numbers")
    seen: set[object] = set()

    def told() -> str:
        seen.add(browser.find_element(By.ID, "progress").get_property("value"))
        return browser.find_element(By.ID, "result").text

    assert eventually(told, seconds=30, what="the report").startswith(REPORT)
    assert seen - {0, 100}, f"no progress seen on the way: {seen}"
    eventually(lambda: REPORT in browser.find_element(By.ID, "latest").text, what="the report among the latest")


def test_the_report_of_each_morning_is_a_schedule(url: str, queue: PyQueue) -> None:
    [schedule] = eventually(queue.list_schedules, what="the schedule")

    assert (schedule.name, schedule.cron_expr) == ("build-report", "0 6 * * *")


def test_an_order_that_does_not_fit_is_refused(url: str) -> None:
    wrong = urllib.request.Request(
        f"{url}/reports", json.dumps({"up_to": 1}).encode(), {"content-type": "application/json"}
    )

    with pytest.raises(urllib.error.HTTPError, match="422"):
        urllib.request.urlopen(wrong)
