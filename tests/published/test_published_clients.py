"""RustQueue's published clients work unchanged (wire format, 17.2): ours send and need what theirs do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyqueue.server.tokens import digest
from tests.published.client import Refused
from tests.published.conftest import Connect, Sdk
from tests.server.process import Server, serving

UNKNOWN = "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"
TOKEN = "pq_" + "x" * 32


def code(sdk: Sdk, *call: Any) -> str:
    with pytest.raises(Refused) as refused:
        sdk.call(*call)
    return refused.value.code


def has(kind: str, call: str) -> bool:
    """Whether that client knows the call: over TCP nothing about all queues, and batches of acks not everywhere."""
    if call == "ack_batch":
        return kind in ("node-tcp", "go-tcp")
    if call in ("pause_queue", "resume_queue"):
        return kind == "go-http"
    return not kind.endswith("tcp") or call not in ("list_queues", "get_dlq_jobs", "health")


def test_17_2_the_life_of_a_job(sdk: Sdk, q: str) -> None:
    options = {
        "priority": 3, "max_attempts": 4, "backoff": "fixed", "backoff_delay_ms": 250, "ttl_ms": 3_600_000,
        "timeout_ms": 60_000, "unique_key": "k", "tags": ["a", "ü"], "group_id": "g", "lifo": False,
        "remove_on_complete": False, "remove_on_fail": False, "custom_id": "mine",
    }  # fmt: skip
    job_id = sdk.call("push", q, "send", {"to": "ü😀\u2028", "n": [1, 2.5, None]}, options)

    [job] = sdk.call("pull", q)
    sdk.call("progress", job_id, 40, "half way")
    sdk.call("heartbeat", job_id)
    sdk.call("ack", job_id, {"sent": [True]})

    assert {key: job[key] for key in options} == options
    assert (job["id"], job["name"], job["queue"], job["state"]) == (job_id, "send", q, "active")
    assert (job["data"], job["attempt"]) == ({"to": "ü😀\u2028", "n": [1, 2.5, None]}, 0)
    done = sdk.call("get_job", job_id)
    assert (done["state"], done["result"], done["progress"]) == ("completed", {"sent": [True]}, 40)
    assert [entry["message"] for entry in done["logs"]] == ["half way"]
    assert done["last_heartbeat"] and done["completed_at"]


def test_17_2_batches_keep_their_order_and_pulls_come_in_both_forms(sdk: Sdk, q: str) -> None:
    entries = [{"name": f"n{number}", "data": {"i": number}, "options": {"tags": ["t"]}} for number in range(5)]
    ids = sdk.call("push_batch", q, entries)

    one, two, rest = (sdk.call("pull", q, count) for count in (1, 2, 9))

    assert [job["id"] for job in one + two + rest] == ids
    assert [job["name"] for job in one + two + rest] == [f"n{number}" for number in range(5)]
    assert (len(one), len(two), len(rest), rest[0]["tags"]) == (1, 2, 2, ["t"])
    assert sdk.call("pull", q, 1) == sdk.call("pull", q, 7) == []


def test_17_2_r1_a_job_without_a_result_is_acknowledged(sdk: Sdk, q: str) -> None:
    job_id = sdk.call("push", q, "n", {})
    sdk.call("pull", q)

    sdk.call("ack", job_id)

    job = sdk.call("get_job", job_id)
    assert (job["state"], job["result"], job["data"]) == ("completed", None, {})
    assert code(sdk, "ack", job_id) == "INVALID_STATE"


def test_17_2_a_failure_says_whether_there_is_another_try(sdk: Sdk, kind: str, q: str) -> None:
    later = sdk.call("push", q, "n", {"a": 1}, {"max_attempts": 2, "backoff_delay_ms": 60_000})
    sdk.call("pull", q)
    again = sdk.call("fail", later, "first")
    dead = sdk.call("push", q, "n", {"a": 1}, {"max_attempts": 1})
    sdk.call("pull", q)
    over = sdk.call("fail", dead, "last")

    assert again["retry"] is True and isinstance(again["next_attempt_at"], str)
    assert over == {"retry": False, "next_attempt_at": None}
    if has(kind, "get_dlq_jobs"):
        assert [job["id"] for job in sdk.call("get_dlq_jobs", q, 100)] == [dead]


def test_17_2_what_is_refused_has_the_code_of_the_wire(sdk: Sdk, q: str) -> None:
    job_id = sdk.call("push", q, "n", {"a": 1}, {"unique_key": "k"})
    assert code(sdk, "push", q, "n", {}, {"unique_key": "k"}) == "DUPLICATE_KEY"
    assert code(sdk, "push", "a b", "n", {}) == "VALIDATION_ERROR"
    assert code(sdk, "heartbeat", job_id) == "INVALID_STATE"

    sdk.call("cancel", job_id)

    assert sdk.call("get_job", job_id)["state"] == "cancelled"
    assert code(sdk, "cancel", job_id) == "INVALID_STATE"
    assert code(sdk, "ack", UNKNOWN) == code(sdk, "fail", UNKNOWN, "e") == "JOB_NOT_FOUND"


def test_17_2_r2_what_is_not_there_is_what_the_client_makes_of_it(sdk: Sdk, kind: str, q: str) -> None:
    # The Python client knows the codes of HTTP, those over TCP that of TCP; the others raise, as against RustQueue.
    if kind in ("node-http", "go-http"):
        assert code(sdk, "get_job", UNKNOWN) == "JOB_NOT_FOUND"
        assert code(sdk, "get_schedule", q) == "SCHEDULE_NOT_FOUND"
    else:
        assert sdk.call("get_job", UNKNOWN) is None
        assert sdk.call("get_schedule", q) is None


def test_17_2_queues_are_counted_and_listed(sdk: Sdk, kind: str, q: str) -> None:
    sdk.call("push", q, "n", {})
    sdk.call("push", q, "n", {}, {"delay_ms": 60_000})

    counts = sdk.call("get_queue_stats", q)

    wanted = {"waiting": 1, "active": 0, "delayed": 1, "completed": 0, "failed": 0, "dlq": 0, "blocked": 0}
    assert {key: counts[key] for key in wanted} == wanted
    if has(kind, "list_queues"):
        [listed] = [each for each in sdk.call("list_queues") if each["name"] == q]
        assert {key: listed["counts"][key] for key in wanted} == wanted
    if has(kind, "pause_queue"):
        sdk.call("pause_queue", q)
        assert code(sdk, "push", q, "n", {}) == "QUEUE_PAUSED"
        sdk.call("resume_queue", q)
        assert sdk.call("push", q, "n", {})


def test_17_2_a_schedule_is_made_paused_and_removed(sdk: Sdk, q: str) -> None:
    name = f"nightly/ü of {q}"
    options = {"priority": 2, "max_attempts": 5}
    sdk.call("create_schedule", {
        "name": name, "queue": q, "job_name": "n", "job_data": {"a": 1}, "job_options": options,
        "cron_expr": "30 2 * * *", "timezone": "Europe/Zurich", "max_executions": 9,
    })  # fmt: skip
    sdk.call("pause_schedule", name)
    paused = sdk.call("get_schedule", name)
    sdk.call("resume_schedule", name)
    [listed] = [each for each in sdk.call("list_schedules") if each["name"] == name]

    sdk.call("delete_schedule", name)

    assert (paused["paused"], listed["paused"]) == (True, False)
    assert (paused["job_data"], paused["cron_expr"], paused["every_ms"]) == ({"a": 1}, "30 2 * * *", None)
    assert {key: paused["job_options"][key] for key in options} == options
    assert name not in {each["name"] for each in sdk.call("list_schedules")}
    sdk.call("delete_schedule", name)  # R12: also well for one that is not there.
    assert code(sdk, "create_schedule", {"name": name, "queue": q, "job_name": "n"}) == "VALIDATION_ERROR"


def test_17_2_r6_a_batch_of_acks(sdk: Sdk, kind: str, q: str) -> None:
    if not has(kind, "ack_batch"):
        return  # The others have none, or make one request of each.
    ids = sdk.call("push_batch", q, [{"name": "n", "data": {}}] * 3)
    sdk.call("pull", q, 3)

    outcome = sdk.call("ack_batch", [{"id": ids[0], "result": 1}, {"id": ids[1]}])

    assert (outcome["ok"], outcome["acked"], outcome["failed"]) == (True, 2, 0)
    assert [(each["id"], each["ok"]) for each in outcome["results"]] == [(ids[0], True), (ids[1], True)]
    assert code(sdk, "ack_batch", [{"id": ids[1]}, {"id": ids[2]}]) == "PARTIAL_FAILURE"
    assert sdk.call("get_job", ids[2])["state"] == "completed"


def test_17_2_a_pull_of_many_large_jobs_is_read(sdk: Sdk, q: str) -> None:
    sdk.call("push_batch", q, [{"name": "n", "data": {"text": "ü" * 2_000}}] * 100)

    jobs = sdk.call("pull", q, 100)

    assert [len(job["data"]["text"]) for job in jobs] == [2_000] * 100


def test_17_2_health(sdk: Sdk, kind: str) -> None:
    if has(kind, "health"):
        health = sdk.call("health")
        assert health["status"] == "healthy" and health["version"] and health["uptime_seconds"] >= 0


def test_17_2_r3_a_token_is_taken_where_none_is_needed(connect: Connect, server: Server, q: str) -> None:
    assert connect(server, "whatever").call("push", q, "n", {})


@pytest.mark.sqlite("about tokens")
def test_17_2_a_token_lets_in_and_a_wrong_one_does_not(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f"[[auth.tokens]]\nname='a'\nsha256='{digest(TOKEN)}'\nroles=['admin']")
    with serving(tmp_path / "jobs.db", "--config", str(tmp_path / "s.toml")) as server:
        assert connect(server, TOKEN).call("push", "q", "n", {})
        assert code(connect(server, TOKEN + "y"), "push", "q", "n", {}) == "UNAUTHORIZED"
        assert code(connect(server, None), "push", "q", "n", {}) == "UNAUTHORIZED"
