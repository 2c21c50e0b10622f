"""Behind pgbouncer in transaction mode, where nothing of a session stays: no settings, no LISTEN, nothing prepared."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pyqueue import Job, PyQueue
from pyqueue.core.errors import StorageError
from tests import servers
from tests.private_server import free_port
from tests.waiting import eventually

PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"

pytestmark = pytest.mark.skipif(not Path(PGBOUNCER).exists(), reason="NO PGBOUNCER: apt-get install pgbouncer")


@pytest.fixture
def pooler(url: str) -> Iterator[str]:
    """The URL of the queue through a pooler that has two connections to the server."""
    address, schema = servers.split(url)
    server = conninfo_to_dict(address)
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="pyqueue-pgbouncer-"))
    user = server.get("user") or "root"
    (folder / "users.txt").write_text(f'"{user}" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"""
[databases]
* = host={server["host"]} port={server["port"]} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
"""
    )
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        who = {"user": "nobody", "group": "nogroup"}
        folder.chmod(0o755)
    process = subprocess.Popen(
        [PGBOUNCER, "-q", str(folder / "pgbouncer.ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who
    )
    through = f"postgresql://{user}@127.0.0.1:{port}/{server['dbname']}"
    try:
        eventually(lambda: _answers(through), what="pgbouncer")
        yield f"{through}?schema={schema}&pooler=transaction"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, prepare_threshold=None, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_everything_works_on_two_connections_for_many(pooler: str) -> None:
    with PyQueue(pooler) as queue:
        threads = [
            threading.Thread(target=lambda: [queue.push("q", "n", number) for number in range(40)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = 0
        while jobs := queue.pull("q", count=50):
            done += sum(result.ok for result in queue.ack_many(jobs))

        assert done == 320
        assert queue.stats("q").completed == 320
        assert len(queue.events(0).changes) == 3 * 320


def test_what_django_repeats_is_prepared_on_a_connection_to_the_server_and_not_to_a_pooler(
    url: str, pooler: str
) -> None:
    prepared = pytest.importorskip("pyqueue.contrib.django.prepared")
    asked = {}
    for place, address in (("server", servers.split(url)[0]), ("pooler", pooler.partition("?")[0])):
        with psycopg.connect(address, cursor_factory=psycopg.ClientCursor) as connection:
            calls = [
                prepared.of(connection).call_of("SELECT $1 + 1", [number], connection.execute, connection.transaction)
                for number in range(5)
            ]
            asked[place] = calls
            if calls[-1] is not None:
                assert connection.execute(calls[-1], [41]).fetchone() == (42,)

    assert asked == {"server": [None] * 3 + ["EXECUTE pyqueue_0(%s)"] * 2, "pooler": [None] * 5}


def test_a_waiting_worker_finds_new_jobs_by_its_poll(pooler: str) -> None:
    came: list[tuple[float, list[Job]]] = []
    with PyQueue(pooler) as worker, PyQueue(pooler) as web:
        web.push("other", "n")
        thread = threading.Thread(target=lambda: came.append((time.monotonic(), worker.pull("q", wait_ms=20_000))))
        thread.start()
        eventually(lambda: worker._runtime.wakeups._watcher)

        web.push("q", "n")

        thread.join(5)
    assert not thread.is_alive()
    assert len(came[0][1]) == 1


def test_one_housekeeper_leads_and_is_followed(pooler: str) -> None:
    with PyQueue(pooler) as first, PyQueue(pooler) as second:
        first.push("q", "n", delay_ms=1)
        first.start_housekeeping()
        second.start_housekeeping()
        eventually(lambda: first.stats("q").waiting == 1)
        first.close()
        second.push("q", "n", delay_ms=1)

        eventually(lambda: second.stats("q").waiting == 2, seconds=15)


def test_a_pooler_that_was_not_told_of_is_named(pooler: str) -> None:
    with PyQueue(pooler.replace("&pooler=transaction", "")) as queue, pytest.raises(StorageError, match="is a pooler"):
        queue.push("q", "n")
