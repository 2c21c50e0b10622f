"""The shop in Django, started by its one command and used in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from pyqueue import JobState, PyQueue
from tests.browser.running import follow, running
from tests.waiting import eventually

pytest.importorskip("django")


class Shop:
    """The shop on a folder of its own: its address, its queue and its mails."""

    def __init__(self, url: str, database: Path) -> None:
        self.url, self.database, self.mail = url, database, database.with_name("mail")

    def mails(self) -> str:
        """All that were sent."""
        return "".join(path.read_text() for path in self.mail.glob("*"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    database = tmp_path_factory.mktemp("shop") / "shop.db"
    with running(database, "example-django") as [program]:
        yield Shop(program.url, database)


@pytest.fixture
def queue(shop: Shop) -> Iterator[PyQueue]:
    with PyQueue(shop.database) as opened:
        yield opened


@pytest.fixture
def admin(shop: Shop, browser: webdriver.Chrome) -> webdriver.Chrome:
    """The browser, with the administrator logged in."""
    browser.get(f"{shop.url}/admin/")
    for field in browser.find_elements(By.CSS_SELECTOR, "#id_username, #id_password"):
        field.send_keys("admin")
    for button in browser.find_elements(By.CSS_SELECTOR, "#login-form [type=submit]"):
        follow(browser, button)
    browser.execute_script("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
    return browser


def test_an_order_gets_its_receipt_and_a_card_that_is_drawn_before_ones_eyes(
    shop: Shop, queue: PyQueue, browser: webdriver.Chrome
) -> None:
    queue.pause("pictures", pushes=False, pulls=True)
    browser.get(shop.url)
    browser.find_element(By.NAME, "email").send_keys("ann@example.com")
    Select(browser.find_element(By.NAME, "item")).select_by_value("tea")
    follow(browser, browser.find_element(By.TAG_NAME, "button"))

    eventually(lambda: "waiting" in browser.find_element(By.ID, "state").text, what="an order that waits for its card")
    queue.resume("pictures")
    seen: set[object] = set()

    def is_drawn() -> bool:
        seen.add(browser.find_element(By.ID, "progress").get_property("value"))
        return bool(browser.find_element(By.ID, "card").get_property("naturalWidth"))

    eventually(is_drawn, seconds=30, what="the card")
    assert seen - {0, 100}, f"no progress seen on the way: {seen}"
    eventually(lambda: "has been sent" in browser.find_element(By.ID, "receipt").text, what="the receipt")
    assert "To: ann@example.com" in shop.mails()


def test_a_schedule_is_run_from_the_admin(shop: Shop, queue: PyQueue, admin: webdriver.Chrome) -> None:
    admin.get(f"{shop.url}/admin/pyqueue/schedule/")
    admin.find_element(By.NAME, "_selected_action").click()
    Select(admin.find_element(By.NAME, "action")).select_by_value("run")
    follow(admin, admin.find_element(By.NAME, "index"))

    eventually(lambda: "Subject: [Django] Sales" in shop.mails(), what="the report")
    assert admin.find_element(By.CSS_SELECTOR, ".messagelist .success").text
    admin.get(f"{shop.url}/admin/shop/salesreport/")
    assert "1 sales report" in admin.find_element(By.CLASS_NAME, "paginator").text


def test_a_dead_letter_is_looked_at_and_retried_in_the_admin(
    shop: Shop, queue: PyQueue, admin: webdriver.Chrome, picture: Callable[[str], None]
) -> None:
    lost = "00000000-0000-4000-8000-000000000000"
    dead = queue.push("pictures", "draw-card", {"order_id": lost}, max_attempts=2, backoff_delay_ms=0)
    eventually(lambda: queue.get_job(dead).state is JobState.DLQ, seconds=30, what="a dead letter")

    dead_letters = f"{shop.url}/admin/pyqueue/job/?{urlencode({'state__exact': JobState.DLQ.code})}"
    admin.get(dead_letters)
    picture("django-dead-letters")
    [row] = admin.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")
    follow(admin, row.find_element(By.CSS_SELECTOR, "th a"))
    detail = admin.find_element(By.ID, "content").text
    picture("django-job")
    queue.pause("pictures", pushes=False, pulls=True)  # Retried, it would fail again at once.
    admin.get(dead_letters)
    admin.find_element(By.NAME, "_selected_action").click()
    Select(admin.find_element(By.NAME, "action")).select_by_value("retry")
    follow(admin, admin.find_element(By.NAME, "index"))

    assert "Order matching query does not exist" in detail and "500 of 500 rows drawn" in detail
    assert queue.get_job(dead).state is JobState.WAITING
    queue.resume("pictures")
    admin.get(f"{shop.url}/admin/pyqueue/job/")
    picture("django-jobs")
