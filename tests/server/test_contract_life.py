"""The wire format row by row through both doors, REST and TCP: the life of a job (section 7)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.server.process import Server
from tests.server.wire import Refused, Wire, killed, pulled
from tests.waiting import eventually


def test_7_1_a_delayed_job_waits_for_its_time_and_then_has_none(wire: Wire, q: str) -> None:
    job_id = wire.push(q, delay_ms=200)
    before = wire.get(job_id)
    assert wire.pull(q) == []

    job = pulled(wire, q)

    assert before["state"] == "delayed" and before["delay_until"] > before["created_at"]
    assert (job["id"], job["delay_until"], job["created_at"]) == (job_id, None, before["created_at"])


def test_7_1_b16_blocked_wins_over_delayed_and_the_delay_is_kept(wire: Wire, q: str) -> None:
    parent = wire.push(q)
    child = wire.push(q, depends_on=[parent], delay_ms=3_600_000)
    blocked = wire.get(child)

    wire.pull(q)
    wire.ack(parent)

    assert blocked["state"] == "blocked" and blocked["delay_until"]
    assert wire.get(child)["state"] == "delayed"


def test_7_1_a_retry_keeps_what_the_run_has_told(wire: Wire, q: str) -> None:
    job_id = wire.push(q, backoff_delay_ms=3_600_000)
    wire.pull(q)
    wire.progress(job_id, 40, "half way")
    wire.heartbeat(job_id)
    assert wire.fail(job_id, "broken") is True

    job = wire.get(job_id)

    assert (job["state"], job["attempt"], job["last_error"], job["progress"]) == ("delayed", 1, "broken", 40)
    assert [entry["message"] for entry in job["logs"]] == ["half way"]
    assert job["started_at"] and job["last_heartbeat"] and job["completed_at"] is None


def test_7_1_an_error_is_kept_after_a_later_success_and_the_result_is_set(wire: Wire, q: str) -> None:
    job_id = wire.push(q, backoff_delay_ms=0)
    wire.pull(q)
    wire.fail(job_id, "once")
    wire.pull(q)
    wire.ack(job_id, {"sent": True})

    job = wire.get(job_id)

    assert (job["state"], job["attempt"], job["last_error"]) == ("completed", 1, "once")
    assert job["result"] == {"sent": True} and job["completed_at"]


def test_7_1_no_attempt_at_all_is_one(wire: Wire, q: str) -> None:
    job_id = wire.push(q, max_attempts=0)
    wire.pull(q)

    assert wire.fail(job_id) is False
    assert wire.get(job_id)["state"] == "dlq"


@pytest.mark.parametrize("option", ["remove_on_complete", "remove_on_fail"])
def test_7_1_b20_a_job_is_removed_as_it_asks(wire: Wire, q: str, option: str) -> None:
    job_id = wire.push(q, max_attempts=1, **{option: True})
    wire.pull(q)
    if option == "remove_on_complete":
        wire.ack(job_id)
    else:
        wire.fail(job_id)

    with pytest.raises(Refused) as refused:
        wire.get(job_id)

    assert refused.value.code in ("JOB_NOT_FOUND", "NOT_FOUND")


def test_7_2_a_job_that_was_retried_goes_before_younger_ones(wire: Wire, q: str) -> None:
    older, younger = wire.push(q, backoff_delay_ms=0), wire.push(q)
    wire.pull(q, count=1)
    wire.fail(older)

    assert [job["id"] for job in wire.pull(q)] == [older, younger]


def test_7_2_no_job_is_handed_out_twice(wire: Wire, server: Server, q: str) -> None:
    ids = wire.push_many(q, [{}] * 60)

    def take(_: int) -> list[str]:
        opened = type(wire)(server)
        jobs = [job["id"] for _ in range(5) for job in opened.pull(q, count=2)]
        opened.close()
        return jobs

    with ThreadPoolExecutor(6) as threads:
        handed_out = [job_id for jobs in threads.map(take, range(6)) for job_id in jobs]

    assert sorted(handed_out) == sorted(ids)


@pytest.mark.parametrize(
    ("backoff", "waits_ms"), [("fixed", [100, 100, 100]), ("linear", [100, 200, 300]), ("exponential", [100, 200, 400])]
)
def test_7_3_the_waits_grow_as_the_backoff_says(wire: Wire, q: str, backoff: str, waits_ms: list[int]) -> None:
    job_id = wire.push(q, backoff=backoff, backoff_delay_ms=100, max_attempts=9)
    waited = []
    for _ in waits_ms:
        assert pulled(wire, q)["id"] == job_id
        wire.fail(job_id)
        job = wire.get(job_id)
        wait = datetime.fromisoformat(job["delay_until"]) - datetime.fromisoformat(job["updated_at"])
        waited.append(round(wait.total_seconds() * 1_000))

    assert waited == waits_ms


@pytest.mark.parametrize("end", ["ack", "cancel", "dlq"])
def test_7_4_a_unique_key_is_held_until_the_job_has_ended(wire: Wire, q: str, end: str) -> None:
    holder = wire.push(q, unique_key="k", max_attempts=2, backoff_delay_ms=0)
    if end != "cancel":
        wire.pull(q)
        wire.fail(holder)
        wire.pull(q)
    with pytest.raises(Refused) as refused:
        wire.push(q, unique_key="k")
    assert refused.value.code == "DUPLICATE_KEY"

    getattr(wire, {"dlq": "fail"}.get(end, end))(holder)

    assert wire.push(q, unique_key="k")
    assert wire.push(q + "-other", unique_key="k"), "the key is that of one queue"


def test_7_4_b9_of_many_pushes_at_once_one_gets_the_unique_key(wire: Wire, server: Server, q: str) -> None:
    def push(_: int) -> str:
        opened = type(wire)(server)
        try:
            return "id" if opened.push(q, unique_key="k") else ""
        except Refused as refused:
            return refused.code
        finally:
            opened.close()

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(push, range(16)))

    assert sorted(taken) == ["DUPLICATE_KEY"] * 15 + ["id"]
    assert wire.counts(q)["waiting"] == 1


def test_7_5_a_custom_id_is_any_text_that_several_may_have(wire: Wire, q: str) -> None:
    first, second = (wire.push(q, custom_id="order 7/ü") for _ in range(2))

    assert wire.get(first)["custom_id"] == wire.get(second)["custom_id"] == "order 7/ü"


@pytest.mark.parametrize("late", ["ack", "fail", "heartbeat"])
def test_7_7_a_run_beyond_its_timeout_is_a_failed_attempt(wire: Wire, q: str, late: str) -> None:
    job_id = wire.push(q, timeout_ms=50, backoff_delay_ms=3_600_000)
    wire.pull(q)

    eventually(lambda: wire.get(job_id)["state"] == "delayed", what="the timeout")

    job = wire.get(job_id)
    assert job["attempt"] == 1 and job["last_error"].startswith("job timed out")
    with pytest.raises(Refused) as refused:
        getattr(wire, late)(job_id)
    assert refused.value.code == "INVALID_STATE"


def test_7_7_b7_a_run_without_a_heartbeat_is_a_failed_attempt_and_the_next_begins_anew(wire: Wire, q: str) -> None:
    job_id = wire.push(q, backoff_delay_ms=0)
    wire.pull(q, lease_ms=50)
    wire.heartbeat(job_id)  # To the server's 30 s: only the next run is short.
    wire.fail(job_id)
    wire.pull(q, lease_ms=50)

    eventually(lambda: wire.get(job_id)["attempt"] == 2, what="the stall")

    job = wire.get(job_id)
    assert job["last_error"].startswith("job stalled (no heartbeat)")
    [again] = wire.pull(q)
    assert (again["id"], again["state"]) == (job_id, "active")
    assert wire.get(job_id)["state"] == "active", "an old heartbeat ends nothing"


def test_7_8_b13_a_batch_honours_its_dependencies(wire: Wire, q: str) -> None:
    parent = wire.push(q)
    [child, free] = wire.push_many(q + "-c", [{"depends_on": [parent]}, {}])

    assert (wire.get(child)["state"], wire.get(free)["state"]) == ("blocked", "waiting")


def test_7_8_a_child_runs_when_all_its_parents_have_completed(wire: Wire, q: str) -> None:
    parents = wire.push_many(q, [{}, {}])
    child = wire.push(q + "-c", depends_on=parents)
    wire.pull(q)

    states = []
    for parent in parents:
        wire.ack(parent)
        states.append(wire.get(child)["state"])

    assert states == ["blocked", "waiting"]
    assert wire.get(wire.push(q, depends_on=parents))["state"] == "waiting"


def test_7_1_7_8_the_death_of_a_parent_takes_all_behind_it_along(wire: Wire, q: str) -> None:
    parent = wire.push(q, max_attempts=1)
    child = wire.push(q + "-c", depends_on=[parent])
    grandchild = wire.push(q + "-c", depends_on=[child])
    wire.pull(q)
    wire.fail(parent)

    first, second = wire.get(child), wire.get(grandchild)

    assert (first["state"], first["attempt"]) == (second["state"], second["attempt"]) == ("dlq", 0)
    assert first["last_error"] == f"parent job '{parent}' moved to DLQ"
    assert second["last_error"] == f"parent job '{child}' moved to DLQ"


def test_7_8_b12_nothing_waits_for_a_parent_that_was_cancelled(wire: Wire, q: str) -> None:
    parent = wire.push(q)
    child = wire.push(q, depends_on=[parent])

    wire.cancel(parent)

    assert wire.get(child)["state"] == "cancelled"


@pytest.mark.parametrize("fate", ["dlq", "cancelled"])
def test_7_8_a_parent_that_cannot_complete_is_refused(wire: Wire, q: str, fate: str) -> None:
    parent = killed(wire, q) if fate == "dlq" else wire.push(q)
    if fate == "cancelled":
        wire.cancel(parent)

    with pytest.raises(Refused) as refused:
        wire.push(q, depends_on=[parent])

    assert refused.value.code == "VALIDATION_ERROR" and parent in refused.value.message


def test_7_8_a_chain_has_eleven_jobs_and_no_twelfth(wire: Wire, q: str) -> None:
    chain = [wire.push(q)]
    for _ in range(10):
        chain.append(wire.push(q, depends_on=[chain[-1]]))

    with pytest.raises(Refused) as refused:
        wire.push(q, depends_on=[chain[-1]])

    assert refused.value.code == "VALIDATION_ERROR" and "10" in refused.value.message


@pytest.mark.parametrize("removes_itself", [False, True])
def test_7_9_b14_follow_ups_are_pushed_with_the_ack(wire: Wire, q: str, removes_itself: bool) -> None:
    metadata = {"kept": 1, "follow_ups": [
        {"queue": q + "-next", "name": "plain"},
        {"queue": q + "-next", "name": "own", "data": {"a": 1}, "flow_id": "g", "options": {"priority": -4}},
    ]}  # fmt: skip
    parent = wire.push(q, metadata=metadata, flow_id=f"flow-{q}", remove_on_complete=removes_itself)
    wire.pull(q)
    wire.ack(parent, {"result": 2})

    plain, own = wire.pull(q + "-next")

    assert (plain["name"], plain["data"], plain["flow_id"]) == ("plain", {"result": 2}, f"flow-{q}")
    assert (own["name"], own["data"], own["flow_id"], own["priority"]) == ("own", {"a": 1}, "g", -4)
    assert plain["metadata"] == own["metadata"] == {"kept": 1}
    assert removes_itself or plain["depends_on"] == own["depends_on"] == [parent]


def test_7_9_r5_a_bad_option_of_a_follow_up_is_refused_at_the_push(wire: Wire, q: str) -> None:
    follow_up = {"queue": q, "name": "n", "options": {"priority": "high"}}

    with pytest.raises(Refused) as refused:
        wire.push(q, metadata={"follow_ups": [follow_up]})

    assert refused.value.code == "VALIDATION_ERROR" and "priority" in refused.value.message
    assert wire.counts(q)["waiting"] == 0
