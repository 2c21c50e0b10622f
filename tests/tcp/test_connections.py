"""TCP connections: authentication, limits, back-pressure, TLS, and how they end."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyqueue import PyQueue
from pyqueue.server.tcp import LINE_BYTES_MAX, TcpServer
from tests.tcp.clients import Client, Server, code, serving
from tests.waiting import eventually

PUSH = b'{"cmd":"push","queue":"q","name":"n"}\n'


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    with serving(path, "--durability", "process", "--no-housekeeping") as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("guarded") / "jobs.db", "--token", "secret") as server:
        yield server


# --- authentication -------------------------------------------------------------------------------


def test_s10_everything_but_auth_is_refused_before_it(guarded: Server) -> None:
    with guarded.client() as client:
        for cmd in ("push", "pull", "get", "stats", "queue_pause", "ping"):
            reply = client.call(cmd, queue="q", name="n", id="0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e")
            assert code(reply) == "UNAUTHORIZED" and "Authentication required" in reply["error"]["message"]
        assert code(client.ask(b"nonsense")) == "PARSE_ERROR"

        assert client.call("auth", token="secret") == {"ok": True}
        assert client.push("q")


def test_s10_a_wrong_token_may_be_followed_by_the_right_one(guarded: Server) -> None:
    with guarded.client() as client:
        assert code(client.call("auth", token="wrong")) == "UNAUTHORIZED"
        assert code(client.call("pull", queue="q")) == "UNAUTHORIZED"
        assert client.call("auth", token="secret") == {"ok": True}
        assert client.call("pull", queue="empty") == {"ok": True, "job": None}


def test_r3_a_wrong_second_token_changes_nothing(guarded: Server) -> None:
    with guarded.client(token="secret") as client:
        assert code(client.call("auth", token="wrong")) == "UNAUTHORIZED"
        assert client.call("auth", token="secret") == {"ok": True}
        assert client.call("ping") == {"ok": True}


def test_r3_auth_is_understood_where_none_is_needed(server: Server) -> None:
    with server.client() as client:
        assert client.call("auth", token="anything") == {"ok": True}
        assert client.push("q")


def test_s10_auth_can_be_pipelined_with_what_needs_it(guarded: Server) -> None:
    with guarded.client() as client:
        client.send(PUSH + b'{"cmd":"auth","token":"secret"}\n' + PUSH)

        assert code(client.reply()) == "UNAUTHORIZED"
        assert client.reply() == {"ok": True}
        assert client.reply()["id"]


def test_a_role_allows_what_it_is_for(guarded: Server) -> None:
    with guarded.client(token="reader") as reader:
        assert reader.call("stats", queue="q")["ok"] and reader.call("ping")["ok"]
        for cmd in ("push", "pull", "queue_pause", "schedule_list", "schedule_delete"):
            reply = reader.call(cmd, queue="q", name="n")
            assert reply["ok"] if cmd == "schedule_list" else code(reply) == "FORBIDDEN"


def test_a_token_of_one_queue_reaches_no_other(guarded: Server) -> None:
    with guarded.client(token="secret") as everyone, guarded.client(token="worker-of-q") as worker:
        everyone.call("pull", queue="q", count=1_000)
        ours, theirs = everyone.push("q"), everyone.push("other")
        everyone.pull("other")

        assert worker.pull("q")["id"] == ours
        assert (
            code(worker.call("pull", queue="other"))
            == code(worker.call("push", queue="other", name="n"))
            == "FORBIDDEN"
        )
        for cmd in ("ack", "fail", "heartbeat", "cancel"):
            assert code(worker.call(cmd, id=theirs)) == "JOB_NOT_FOUND"
        [of_theirs] = worker.call("ack_batch", ids=[theirs])["results"]
        assert of_theirs["error"]["code"] == "JOB_NOT_FOUND"
        worker.send(json.dumps({"cmd": "ack", "id": ours}).encode() + b'\n{"cmd":"push","queue":"q","name":"n"}\n')
        assert worker.reply() == {"ok": True} and worker.reply()["id"]
        assert everyone.get(theirs)["state"] == "active"


# --- limits ------------------------------------------------------------------------------------------


def test_r11_a_line_beyond_the_limit_is_answered_and_ends_the_connection(server: Server) -> None:
    with server.client() as client:
        client.send(PUSH)
        sender = threading.Thread(target=send_for_ever, args=(client.socket,))
        sender.start()

        assert client.reply()["id"]
        assert code(client.reply()) == "PAYLOAD_TOO_LARGE"
        assert client.is_at_end()
        client.socket.close()
        sender.join(10)


def send_for_ever(connection: socket.socket) -> None:
    try:
        while True:
            connection.sendall(b"x" * 65_536)
    except OSError:
        pass


def test_r11_a_line_of_four_mebibytes_is_taken(server: Server) -> None:
    jobs = [{"name": "n", "data": "x" * 1_000_000} for _ in range(4)]
    line = json.dumps({"cmd": "push_batch", "queue": "q", "jobs": jobs}).encode()
    line += b" " * (LINE_BYTES_MAX - len(line))

    with server.client() as client:
        assert len(client.ask(line)["ids"]) == 4
        assert [len(job["data"]) for job in client.call("pull", queue="q", count=4)["jobs"]] == [1_000_000] * 4
        assert client.call("ping") == {"ok": True}


def test_a_connection_too_many_is_told_so(path: Path) -> None:
    with serving(path, "--connections-max", "2") as server, server.client() as first, server.client() as second:
        assert first.call("ping") == second.call("ping") == {"ok": True}

        with server.client() as third:
            assert code(third.reply()) == "TOO_MANY_CONNECTIONS"
            assert third.is_at_end()
        first.close()

        eventually(lambda: can_ping(server))


def can_ping(server: Server) -> bool:
    with server.client() as client:
        try:
            return client.call("ping") == {"ok": True}
        except (AssertionError, OSError):
            return False


def test_a_client_that_does_not_read_is_not_read_from(server: Server) -> None:
    with server.client() as greedy, server.client() as other:
        greedy.push("q", data="x" * 100_000)
        greedy.socket.settimeout(0.5)
        job_id = greedy.call("pull", queue="q")["job"]["id"]
        get = json.dumps({"cmd": "get", "id": job_id}).encode() + b"\n"

        with pytest.raises(TimeoutError):
            greedy.send(get * 300_000)  # Each asks for 100,000 bytes, so without a limit these are 30 GB of replies.

        assert other.call("ping") == {"ok": True}
        assert memory_mb(server) < 400


def memory_mb(server: Server) -> int:
    status = Path(f"/proc/{server.pid}/status")
    if not status.exists():
        pytest.skip("the kernel does not tell how much memory a process has")
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1_024


def test_a_flood_of_pipelined_commands_is_answered_in_full(server: Server) -> None:
    with server.client() as client:
        sender = threading.Thread(target=client.send, args=(PUSH * 20_000,))
        sender.start()

        ids = [client.reply()["id"] for _ in range(20_000)]

        sender.join()
        assert len(set(ids)) == 20_000 and ids == sorted(ids)
        assert client.call("stats", queue="q")["counts"]["waiting"] == 20_000


# --- endings ---------------------------------------------------------------------------------------------


def test_sigterm_answers_what_was_received_and_closes(server: Server, path: Path) -> None:
    with server.client() as busy, server.client() as waiting, server.client() as idle:
        waiting.send(b'{"cmd":"pull","queue":"none","wait_ms":60000}\n')
        assert idle.call("ping") == {"ok": True}
        busy.send(PUSH * 500)
        first = busy.reply()

        server.terminate()

        replies = [first, *iter(lambda: json.loads(busy._file.readline() or b"null"), None)]
        assert waiting.reply() == {"ok": True, "job": None}
        assert waiting.is_at_end() and idle.is_at_end()
        assert all(reply["ok"] for reply in replies)
        for client in (busy, waiting, idle):
            client.close()
        assert server.wait() == 0
    with PyQueue(path) as queue:
        assert queue.stats("q").waiting >= len(replies)


@pytest.mark.sqlite("its one writer")
def test_jobs_pulled_for_a_connection_that_is_gone_are_given_back(path: Path) -> None:
    async def leave_while_it_is_pulled() -> None:
        async with PyQueue(path) as queue, PyQueue(path) as elsewhere:
            job_id = await queue.apush("q", "n")
            server = TcpServer(queue)
            await server.start("127.0.0.1", 0)
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            here: Any = queue._runtime.store
            there: Any = elsewhere._runtime.store
            there.begin(durable=False)  # The pull has to wait for this; its client does not.
            writer.write(b'{"cmd":"pull","queue":"q"}\n')
            await until(lambda: is_held(here.lock))
            # With a reset: a client that merely closes might be one that has said all and still listens.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await until(lambda: not server.connections)
            there.rollback()

            await until(lambda: queue.get_job(job_id).started_at is not None and queue.stats("q").waiting == 1)
            [job] = queue.pull("q")
            assert (job.id, job.lease) == (job_id, 2)
            await server.close()

    asyncio.run(leave_while_it_is_pulled())


def is_held(lock: threading.RLock) -> bool:
    """By the commit thread, which waits for the file."""
    if lock.acquire(blocking=False):
        lock.release()
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop run until something is so."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_two_servers_serve_one_file(server: Server, path: Path) -> None:
    with serving(path) as second, server.client() as here, second.client() as there:
        there.send(b'{"cmd":"pull","queue":"q","wait_ms":10000}\n')
        job_id = here.push("q")

        assert there.reply()["job"]["id"] == job_id
        assert here.get(job_id)["state"] == "active"


# --- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key, made by openssl."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", made], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("NO OPENSSL: apt-get install openssl")
    made.write_bytes(made.read_bytes() + key.read_bytes())
    return made


def test_s10_the_protocol_is_the_same_over_tls(path: Path, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    with serving(path, "--certificate", str(certificate)) as server:
        client = Client(server.port)
        client.wrap(context)
        with client:
            ids = client.call("push_batch", queue="q", jobs=[{"name": "n"}] * 500)["ids"]
            assert [job["id"] for job in client.call("pull", queue="q", count=500)["jobs"]] == ids
            assert client.call("ack_batch", ids=ids)["acked"] == 500
        server.terminate()
        assert server.wait() == 0
