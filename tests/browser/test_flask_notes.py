"""The notes in Flask, started by their one command and used in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from pyqueue import PyQueue
from tests.browser.running import follow, running
from tests.waiting import eventually

pytest.importorskip("flask")

TEXT = "The quick brown fox jumps over the lazy dog. " * 6


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes") / "notes.db"


@pytest.fixture(scope="module")
def url(database: Path) -> Iterator[str]:
    with running(database, "example-flask") as [program]:
        yield program.url


@pytest.fixture
def queue(database: Path) -> Iterator[PyQueue]:
    with PyQueue(database) as opened:
        yield opened


def test_a_note_becomes_a_sound_before_ones_eyes(url: str, queue: PyQueue, browser: webdriver.Chrome) -> None:
    queue.pause("sounds", pushes=False, pulls=True)
    browser.get(url)
    browser.find_element(By.NAME, "text").send_keys(TEXT)
    follow(browser, browser.find_element(By.TAG_NAME, "button"))
    eventually(lambda: browser.find_element(By.ID, "state").text == "waiting", what="a note that waits")
    queue.resume("sounds")
    seen: set[object] = set()

    def can_be_heard() -> bool:
        seen.add(browser.find_element(By.ID, "progress").get_property("value"))
        return bool(browser.execute_script("return document.getElementById('sound').duration > 60"))

    eventually(can_be_heard, seconds=30, what="a minute of sound")
    assert seen - {0, 100}, f"no progress seen on the way: {seen}"


def test_old_notes_are_deleted_by_a_schedule(url: str, queue: PyQueue) -> None:
    [schedule] = eventually(queue.list_schedules, what="the schedule")
    run = queue.trigger_schedule(schedule.name)

    assert (schedule.name, schedule.every_ms) == ("forget-old-notes", 3_600_000)
    assert queue.wait_for(run, timeout=10) == 0
