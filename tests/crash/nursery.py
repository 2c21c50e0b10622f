"""Processes for programs, from a server that forks them off ready-made: starting an interpreter would take longer."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from tests.crash import programs
from tests.waiting import eventually

# Nothing of pyqueue is open in the server, so its children are as good as new processes.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["__main__", "tests.crash.programs", "tests.crash.limit_programs", "tests.crash.scenarios"]
)


class Program:
    """A program at work, and what it has said so far."""

    def __init__(self, role: str, path: Path, durability: str) -> None:
        self.role = role
        self._text = b""
        receiver, sender = PROCESSES.Pipe(duplex=False)
        self.process = PROCESSES.Process(target=programs.main, args=(role, str(path), durability, sender), daemon=True)
        self.process.start()
        sender.close()
        self._reader = threading.Thread(target=self._read, args=(receiver,))
        self._reader.start()

    def _read(self, receiver: Connection) -> None:
        with receiver:
            while chunk := os.read(receiver.fileno(), 65_536):
                self._text += chunk

    def wait_for_a_line(self) -> None:
        eventually(lambda: b"\n" in self._text, seconds=30, what=f"a word of {self.role}")

    def run_on(self, seconds: float) -> None:
        """Lets it run for the time; a program that ends by itself fails the test."""
        self.process.join(seconds)
        assert self.process.is_alive(), self.lines()

    def kill(self) -> list[str]:
        self.process.kill()
        return self.finish()

    def finish(self) -> list[str]:
        """Waits for its end; gives the whole lines it has written. One that was cut by a kill promises nothing."""
        self.process.join(60)
        self._reader.join(60)
        assert not self.process.is_alive() and not self._reader.is_alive(), f"{self.role} does not end"
        return self.lines()

    def lines(self) -> list[str]:
        return self._text.decode().split("\n")[:-1]
