"""Whatever comes in over TCP: no crash, no stuck connection, no lost job, and one reply for each line.

The short form runs with every test run; `make soak` goes on for ten minutes (`PYQUEUE_FUZZ_SECONDS` says otherwise).
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from tests.tcp.clients import Client, Server, serving

_SOAK_SECONDS = float(os.environ.get("PYQUEUE_FUZZ_SECONDS", "600"))
_COMMANDS = (
    "auth", "push", "push_batch", "pull", "ack", "ack_batch", "fail", "fail_batch", "cancel", "heartbeat",
    "heartbeat_batch", "progress", "release", "stats", "get", "ping", "schedule_create", "schedule_list",
    "schedule_get", "schedule_delete", "schedule_pause", "schedule_resume", "queue_resume", "dance", "",
)  # fmt: skip
_KEYS = (
    "queue", "name", "data", "options", "jobs", "items", "ids", "id", "result", "count", "wait_ms", "lease_ms", "lease",
    "worker_id", "fields", "error", "progress", "message", "token", "delay_ms", "priority", "tags", "depends_on",
    "metadata", "unique_key", "cron_expr", "every_ms", "job_name", "job_data", "job_options", "timezone", "x",
)  # fmt: skip


class Fuzzer:
    """Makes lines out of a seed: sound commands, damaged ones, and noise."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.withdrawals: list[str] = []
        self.ids = ["no-uuid", "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"]

    def line(self) -> bytes:
        """Bytes without a line break."""
        draw = self._random.random()
        if draw < 0.1:
            return self._noise()
        text = json.dumps(self._command(), ensure_ascii=self._random.random() < 0.5)
        if draw < 0.3:
            text = self._damaged(text)
        if "cancel" in text:
            self.withdrawals.append(text.replace("-", "").lower())
        return text.replace("\n", " ").encode()

    def _command(self) -> dict[str, Any]:
        pick = self._random
        command = {pick.choice(_KEYS): self._value(0) for _ in range(pick.randrange(6))}
        return (
            command | {"cmd": pick.choice(_COMMANDS), "queue": pick.choice(("fuzz", "fuzz", "a b", ""))} | self._usual()
        )

    def _usual(self) -> dict[str, Any]:
        pick = self._random
        usual = {
            "name": "n",
            "id": pick.choice(self.ids),
            "wait_ms": pick.choice((0, 5)),
            "count": pick.choice((1, 3, 0)),
        }
        return {key: value for key, value in usual.items() if pick.random() < 0.7}

    def _value(self, depth: int) -> Any:
        pick = self._random
        kind = pick.randrange(3 if depth == 3 else 5)
        if kind == 0:
            return pick.choice((None, True, False, "", "é😀", "\u2028", "x" * pick.randrange(300)))
        if kind == 1:
            return pick.choice((0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1.5, -0.0, 1e300))
        if kind == 2:
            return pick.choice(self.ids)
        if kind == 3:
            return [self._value(depth + 1) for _ in range(pick.randrange(4))]
        return {pick.choice(_KEYS): self._value(depth + 1) for _ in range(pick.randrange(4))}

    def _damaged(self, text: str) -> str:
        pick = self._random
        for _ in range(pick.randrange(1, 4)):
            place = pick.randrange(len(text) + 1)
            between = "".join(pick.choices('{}[]",:0e\\-. \t\r', k=pick.randrange(3)))
            text = text[:place] + between + text[place + pick.randrange(4) :]
        return text

    def _noise(self) -> bytes:
        pick = self._random
        return pick.choice(
            (
                b"",
                b"\r",
                b"{" * pick.randrange(3_000),
                b"[" * 200_000,
                b"null",
                bytes(pick.choices(range(32, 127), k=40)),
            )
        )

    def utf8_broken(self) -> bytes:
        return b'{"cmd":"pi\xffng"}'


def fuzz(server: Server, fuzzer: Fuzzer, seed: int, until: float, pushed: list[str]) -> None:
    """One client after another, each with some bursts of lines, until the time is over."""
    number = 0
    while time.monotonic() < until:
        number += 1
        with server.client() as client:
            for _ in range(20):
                burst = [fuzzer.line() for _ in range(random.Random(seed + number).randrange(1, 40))]
                _exchange(client, fuzzer, burst, pushed)
            _leave(client, fuzzer, number)


def _exchange(client: Client, fuzzer: Fuzzer, burst: list[bytes], pushed: list[str]) -> None:
    """Sends a burst in odd pieces; there is exactly one reply for each line, and then for one that is sound."""
    text = b"\n".join([*burst, b'{"cmd":"push","queue":"kept","name":"n"}\n'])
    half = len(text) // 3
    client.send(text[:half])
    client.send(text[half:])
    for line in burst:
        reply = client.reply()
        assert isinstance(reply["ok"], bool), (line, reply)
        assert reply["ok"] or reply["error"]["code"] != "INTERNAL_ERROR", (line, reply)
        for job_id in (reply.get("id"), *reply.get("ids", ())):
            if isinstance(job_id, str):
                fuzzer.ids[1:] = [*fuzzer.ids[-50:], job_id]
    pushed.append(client.reply()["id"])


def _leave(client: Client, fuzzer: Fuzzer, number: int) -> None:
    """In one of the ways in which clients leave."""
    if number % 4 == 0:
        client.send(b'{"cmd":"pull","queue":"never","wait_ms":60000}\n')
    elif number % 4 == 1:
        client.send(fuzzer.utf8_broken() + b"\n")
        assert client.is_at_end()
    elif number % 4 == 2:
        client.send(b'{"cmd":"ping"}')
        client.socket.shutdown(socket.SHUT_WR)
        assert client.reply() == {"ok": True}


def run(path: Path, seconds: float, seed: int) -> None:
    with serving(path, "--durability", "process") as server:
        until = time.monotonic() + seconds
        pushed: list[list[str]] = [[] for _ in range(4)]
        fuzzers = [Fuzzer(seed + number) for number in range(4)]
        failures: list[BaseException] = []

        def guarded(number: int) -> None:
            try:
                fuzz(server, fuzzers[number], seed + number, until, pushed[number])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 60)

        assert not failures, (seed, failures[0])
        assert server.is_running
        server.terminate()
        assert server.wait() == 0
    with PyQueue(path) as queue:
        kept = [job_id for each in pushed for job_id in each]
        withdrawn = [job.id for job in queue.list_jobs(queue="kept", state="cancelled", limit=1_000).jobs]
        assert len(kept) > 10 and queue.stats("kept").waiting + len(withdrawn) == len(set(kept)) == len(kept)
        # A damaged id can be that of a neighbour. Then somebody has sent just that.
        sent = "\n".join(text for fuzzer in fuzzers for text in fuzzer.withdrawals)
        assert [job_id for job_id in withdrawn if job_id.replace("-", "") not in sent] == []


def test_no_line_crashes_the_server_sticks_or_loses_a_job(path: Path) -> None:
    run(path, 3.0, seed=9)


@pytest.mark.soak
def test_no_line_crashes_the_server_sticks_or_loses_a_job_for_ten_minutes(path: Path) -> None:
    run(path, _SOAK_SECONDS, seed=time.time_ns() % 1_000_000)
