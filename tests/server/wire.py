"""The contract asked through either door of a server, REST or TCP, in the same words."""

from __future__ import annotations

from typing import Any

from tests.server.process import Client, Server
from tests.tcp.clients import Client as TcpClient
from tests.waiting import eventually


class Refused(Exception):
    """What a server answered instead, with its code."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: str = error["code"]
        self.message: str = error["message"]


class Rest:
    def __init__(self, server: Server) -> None:
        self._client: Client = server.client()

    def close(self) -> None:
        """Nothing: one request, one connection."""

    def push(self, queue: str, **job: Any) -> str:
        return str(self._post(f"/queues/{queue}/jobs", {"name": "n", "data": 1} | job)["id"])

    def push_many(self, queue: str, jobs: list[dict[str, Any]]) -> list[str]:
        return list(self._post(f"/queues/{queue}/jobs", [{"name": "n", "data": 1} | job for job in jobs])["ids"])

    def pull(self, queue: str, count: int = 2, **options: Any) -> list[dict[str, Any]]:
        query = "".join(f"&{key}={value}" for key, value in options.items())
        return _jobs(_good(self._client.get(f"/queues/{queue}/jobs?count={count}{query}").json))

    def ack(self, job_id: str, result: Any = None) -> None:
        self._post(f"/jobs/{job_id}/ack", {"result": result})

    def fail(self, job_id: str, error: str = "e") -> bool:
        return bool(self._post(f"/jobs/{job_id}/fail", {"error": error})["retry"])

    def cancel(self, job_id: str) -> None:
        self._post(f"/jobs/{job_id}/cancel", None)

    def progress(self, job_id: str, progress: int, message: str) -> None:
        self._post(f"/jobs/{job_id}/progress", {"progress": progress, "message": message})

    def heartbeat(self, job_id: str) -> None:
        self._post(f"/jobs/{job_id}/heartbeat", None)

    def get(self, job_id: str) -> dict[str, Any]:
        return dict(_good(self._client.get(f"/jobs/{job_id}").json)["job"])

    def counts(self, queue: str) -> dict[str, int]:
        return dict(_good(self._client.get(f"/queues/{queue}/stats").json)["counts"])

    def pause(self, queue: str) -> None:
        self._post(f"/queues/{queue}/pause", None)

    def create_schedule(self, **schedule: Any) -> None:
        self._post("/schedules", schedule)

    def schedule(self, name: str) -> dict[str, Any]:
        return dict(_good(self._client.get(f"/schedules/{name}").json)["schedule"])

    def on_schedule(self, verb: str, name: str) -> None:
        answer = self._client.delete(f"/schedules/{name}") if verb == "delete" else None
        _good((answer or self._client.post(f"/schedules/{name}/{verb}")).json)

    def _post(self, path: str, body: Any) -> dict[str, Any]:
        return _good(self._client.post(path, body).json)


class Tcp:
    def __init__(self, server: Server) -> None:
        self._client = TcpClient(server.tcp_port)

    def close(self) -> None:
        self._client.close()

    def push(self, queue: str, **job: Any) -> str:
        return str(self._call("push", queue=queue, **({"name": "n"} | job))["id"])

    def push_many(self, queue: str, jobs: list[dict[str, Any]]) -> list[str]:
        return list(self._call("push_batch", queue=queue, jobs=[{"name": "n"} | job for job in jobs])["ids"])

    def pull(self, queue: str, count: int = 2, **options: Any) -> list[dict[str, Any]]:
        return _jobs(self._call("pull", queue=queue, count=count, **options))

    def ack(self, job_id: str, result: Any = None) -> None:
        self._call("ack", id=job_id, result=result)

    def fail(self, job_id: str, error: str = "e") -> bool:
        return bool(self._call("fail", id=job_id, error=error)["will_retry"])

    def cancel(self, job_id: str) -> None:
        self._call("cancel", id=job_id)

    def progress(self, job_id: str, progress: int, message: str) -> None:
        self._call("progress", id=job_id, progress=progress, message=message)

    def heartbeat(self, job_id: str) -> None:
        self._call("heartbeat", id=job_id)

    def get(self, job_id: str) -> dict[str, Any]:
        return dict(self._call("get", id=job_id)["job"])

    def counts(self, queue: str) -> dict[str, int]:
        return dict(self._call("stats", queue=queue)["counts"])

    def pause(self, queue: str) -> None:
        self._call("queue_pause", queue=queue)

    def create_schedule(self, **schedule: Any) -> None:
        self._call("schedule_create", **schedule)

    def schedule(self, name: str) -> dict[str, Any]:
        return dict(self._call("schedule_get", name=name)["schedule"])

    def on_schedule(self, verb: str, name: str) -> None:
        self._call(f"schedule_{verb}", name=name)

    def _call(self, cmd: str, **fields: Any) -> dict[str, Any]:
        return _good(self._client.call(cmd, **fields))


Wire = Rest | Tcp
DOORS: dict[str, type[Rest | Tcp]] = {"rest": Rest, "tcp": Tcp}


def pulled(wire: Wire, queue: str) -> dict[str, Any]:
    """A job of the queue, as soon as there is one."""
    return eventually(lambda: wire.pull(queue, count=1), what="a job to pull")[0]


def killed(wire: Wire, queue: str, **job: Any) -> str:
    """A dead letter."""
    job_id = wire.push(queue, max_attempts=1, **job)
    wire.pull(queue)
    assert wire.fail(job_id) is False
    return job_id


def _jobs(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """Of either form of a pull."""
    return list(reply["jobs"] if "jobs" in reply else filter(None, [reply["job"]]))


def _good(reply: dict[str, Any]) -> dict[str, Any]:
    if not reply["ok"]:
        raise Refused(reply["error"])
    return reply
