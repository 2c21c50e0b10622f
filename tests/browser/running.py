"""Programs that serve pages, run for a test as people run them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of

from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent

# Who runs the tests has what the examples need: several of them must not install it at the same time.
_SET_UP = [f"--old-file={sys.prefix}/installed-{extra}" for extra in ("django", "flask", "fastapi,server")]


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def follow(browser: webdriver.Chrome, link: WebElement) -> None:
    """Clicks what leads to another page and waits for that: a click may return before the old page is left."""
    link.click()
    eventually(lambda: staleness_of(link)(browser), seconds=30, what="the old page is left")
    eventually(lambda: browser.execute_script("return document.readyState") == "complete", what="the new page")


class Program:
    """A program that serves pages at a port of its own, run as people run it: by `make TARGET`."""

    def __init__(self, target: str, database: Path) -> None:
        """`database`: the file that the program is to use; what it says is written beside it."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = database.with_name(f"{target}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["make", target, f"PORT={port}", f"VENV={sys.prefix}", *_SET_UP],
                cwd=ROOT,
                env={**os.environ, "PYQUEUE_STORAGE": str(database)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it serves."""
        eventually(lambda: self._answers() or self._process.poll() is not None, seconds=60, what=self.url)
        assert self._process.poll() is None, self._log.read_text()

    def end(self) -> None:
        """As by Ctrl-C."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            self._process.wait(30)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True


@contextmanager
def running(database: Path, *targets: str) -> Iterator[list[Program]]:
    """The programs serve within the block, all on the same file. After it nothing of them is left."""
    with ExitStack() as ending:
        programs = []
        for target in targets:
            programs.append(Program(target, database))
            ending.callback(programs[-1].end)
        for program in programs:
            program.wait()
        yield programs
    assert not _users_of(database), "a server or a worker has outlived its command"


def _users_of(database: Path) -> list[str]:
    """The processes that were told to use the file, where that can be seen."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"PYQUEUE_STORAGE={database}\0".encode() in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            continue  # It has ended meanwhile, or is somebody else's.
    return found
