"""One real browser for all tests of a session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.browser.running import ROOT

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--window-size=1400,800",
)
_TALLEST = 1150
# Readers are not helped by where the files are on the machine that made the picture.
_SHORTEN_PATHS = """
    for (const code of document.querySelectorAll("pre")) {
        code.textContent = code.textContent.replaceAll(arguments[0], "");
    }
"""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    driver = shutil.which("chromedriver")
    if found is None or driver is None:
        pytest.skip("NO BROWSER: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = found
    for option in (*_OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(option)
    opened = webdriver.Chrome(options, Service(driver))
    opened.set_page_load_timeout(30)
    yield opened
    opened.quit()


@pytest.fixture
def picture(browser: webdriver.Chrome) -> Callable[[str], None]:
    """Makes a picture of the page for the documents, if they were asked for (`make screenshots`)."""
    asked = os.environ.get("PYQUEUE_SCREENSHOTS")

    def take(name: str) -> None:
        if asked is not None:
            width, height = browser.get_window_size().values()
            browser.execute_script(_SHORTEN_PATHS, f"{ROOT}/")
            needed = browser.execute_script("return document.documentElement.scrollHeight")
            browser.set_window_size(width, min(needed, _TALLEST))
            browser.save_screenshot(str(Path(asked) / f"{name}.png"))
            browser.set_window_size(width, height)

    return take
