"""Asks a server as RustQueue's published Python client does: urllib, and a JSON body with every POST."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode


class Refused(Exception):
    """The code of an error as a client of the SDK sees it."""

    @property
    def code(self) -> str:
        return str(self.args[0])


class PythonClient:
    """`call` takes the names that the programs in other languages take."""

    def __init__(self, host: str, port: int, token: str | None) -> None:
        self._base = f"http://{host}:{port}/api/v1"
        self._token = token

    def call(self, name: str, *given: Any) -> Any:
        return getattr(self, name)(*given)

    def close(self) -> None:
        """Nothing: a connection for each request."""

    def push(self, queue: str, name: str, data: Any = None, options: dict[str, Any] | None = None) -> Any:
        body = {"name": name, "data": data or {}, **(options or {})}
        return self._ask("POST", f"/queues/{_quoted(queue)}/jobs", body)["id"]

    def push_batch(self, queue: str, entries: list[dict[str, Any]]) -> Any:
        flat = [{"name": each["name"], "data": each["data"], **each.get("options", {})} for each in entries]
        return self._ask("POST", f"/queues/{_quoted(queue)}/jobs", flat)["ids"]

    def pull(self, queue: str, count: int = 1) -> Any:
        query = {} if count == 1 else {"count": str(count)}
        reply = self._ask("GET", f"/queues/{_quoted(queue)}/jobs", query=query)
        if "job" in reply:
            return [] if reply["job"] is None else [reply["job"]]
        return reply.get("jobs", [])

    def ack(self, job_id: str, result: Any = None) -> None:
        self._ask("POST", f"/jobs/{_quoted(job_id)}/ack", {} if result is None else {"result": result})

    def fail(self, job_id: str, error: str) -> Any:
        reply = self._ask("POST", f"/jobs/{_quoted(job_id)}/fail", {"error": error})
        return {"retry": reply.get("retry", False), "next_attempt_at": reply.get("next_attempt_at")}

    def cancel(self, job_id: str) -> None:
        self._ask("POST", f"/jobs/{_quoted(job_id)}/cancel", {})

    def heartbeat(self, job_id: str) -> None:
        self._ask("POST", f"/jobs/{_quoted(job_id)}/heartbeat", {})

    def progress(self, job_id: str, progress: int, message: str) -> None:
        self._ask("POST", f"/jobs/{_quoted(job_id)}/progress", {"progress": progress, "message": message})

    def get_job(self, job_id: str) -> Any:
        return self._or_none("JOB_NOT_FOUND", f"/jobs/{_quoted(job_id)}", "job")

    def list_queues(self) -> Any:
        return self._ask("GET", "/queues").get("queues", [])

    def get_queue_stats(self, queue: str) -> Any:
        return self._ask("GET", f"/queues/{_quoted(queue)}/stats").get("counts", {})

    def get_dlq_jobs(self, queue: str, limit: int) -> Any:
        return self._ask("GET", f"/queues/{_quoted(queue)}/dlq", query={"limit": str(limit)}).get("jobs", [])

    def create_schedule(self, schedule: dict[str, Any]) -> None:
        assert self._ask("POST", "/schedules", schedule)["schedule"]["name"] == schedule["name"]

    def list_schedules(self) -> Any:
        return self._ask("GET", "/schedules").get("schedules", [])

    def get_schedule(self, name: str) -> Any:
        return self._or_none("SCHEDULE_NOT_FOUND", f"/schedules/{_quoted(name)}", "schedule")

    def delete_schedule(self, name: str) -> None:
        self._ask("DELETE", f"/schedules/{_quoted(name)}")

    def pause_schedule(self, name: str) -> None:
        self._ask("POST", f"/schedules/{_quoted(name)}/pause", {})

    def resume_schedule(self, name: str) -> None:
        self._ask("POST", f"/schedules/{_quoted(name)}/resume", {})

    def health(self) -> Any:
        return self._ask("GET", "/health")

    def _or_none(self, code: str, path: str, key: str) -> Any:
        try:
            return self._ask("GET", path).get(key)
        except Refused as refused:
            if refused.code == code:
                return None
            raise

    def _ask(self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> Any:
        url = self._base + path + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), method=method)
        request.add_header("Content-Type", "application/json")
        request.add_header("Accept", "application/json")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                text = reply.read().decode()
                return json.loads(text) if text else {"ok": True}
        except urllib.error.HTTPError as error:
            try:
                raise Refused(json.loads(error.read())["error"]["code"]) from None
            except (ValueError, KeyError, TypeError):
                raise Refused("HTTP_ERROR") from None


def _quoted(text: str) -> str:
    return quote(text, safe="")
