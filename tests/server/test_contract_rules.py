"""The wire format row by row through both doors, REST and TCP: limits, schedules, and what is better (2, 4, 8, 19)."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.server.process import Server, serving
from tests.server.wire import DOORS, Refused, Wire, killed, pulled
from tests.waiting import eventually

# --- 1, 2, 4: basics, objects and limits ------------------------------------------------------------------------


def test_2_2_r13_every_state_is_counted_and_cancelled_too(wire: Wire, q: str) -> None:
    killed(wire, q)
    parent = wire.push(q)
    wire.push(q, depends_on=[parent])
    wire.push(q, delay_ms=60_000)
    wire.cancel(wire.push(q))
    wire.pull(q, count=1)
    wire.push(q, priority=1)
    wire.ack(wire.pull(q, count=1)[0]["id"])
    wire.push(q)

    assert wire.counts(q) == {
        "waiting": 1, "delayed": 1, "blocked": 1, "active": 1, "completed": 1, "dlq": 1, "cancelled": 1, "failed": 0,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["upper", "hyphenless", "braces", "urn"])
def test_1_ids_are_read_leniently_and_written_in_one_form(wire: Wire, q: str, form: str) -> None:
    job_id = wire.push(q)
    given = {
        "upper": job_id.upper(),
        "hyphenless": job_id.replace("-", ""),
        "braces": f"%7B{job_id}%7D" if isinstance(wire, DOORS["rest"]) else f"{{{job_id}}}",
        "urn": f"urn:uuid:{job_id}",
    }[form]

    assert wire.get(given)["id"] == job_id == str(uuid.UUID(job_id))
    assert uuid.UUID(job_id).version == 7


def test_1_2_1_times_are_rfc_3339_in_utc(wire: Wire, q: str) -> None:
    job_id = wire.push(q, delay_ms=20)
    delayed = wire.get(job_id)
    pulled(wire, q)
    wire.heartbeat(job_id)
    wire.ack(job_id)
    job = wire.get(job_id)

    moments = [delayed["delay_until"], *(job[key] for key in job if key.endswith("_at")), job["last_heartbeat"]]
    assert len(moments) >= 6
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", moment) for moment in moments)


def test_2_4_a_schedule_has_every_key_whatever_was_given(wire: Wire, q: str) -> None:
    wire.create_schedule(name=q, queue=q, job_name="n", every_ms=3_600_000, job_options={"priority": 1})

    schedule = wire.schedule(q)

    keys = {
        "name", "queue", "job_name", "job_data", "job_options", "cron_expr", "every_ms", "timezone", "max_executions",
        "execution_count", "paused", "last_run_at", "next_run_at", "created_at", "updated_at",
    }  # fmt: skip
    assert keys <= set(schedule)
    assert schedule["job_data"] == (None if isinstance(wire, DOORS["rest"]) else {})
    assert schedule["job_options"]["priority"] == 1 and schedule["job_options"]["depends_on"] is None
    assert "metadata" not in schedule["job_options"] and len(schedule["job_options"]) == 16
    wire.on_schedule("delete", q)


def test_4_the_checks_of_a_push_come_in_their_order(wire: Wire, server: Server, q: str) -> None:
    unknown = "0199c3a4-7c1e-7000-8000-3f2a9b1c4d5e"

    def code(**job: Any) -> str:
        with pytest.raises(Refused) as refused:
            wire.push(q, **job)
        return refused.value.code

    server.client().send(
        "PUT", f"/queues/{q}/push-limit", b'{"rate":0.001,"burst":3}', {"Content-Type": "application/json"}
    )
    wire.push(q, unique_key="k")
    duplicate_before_parents = code(unique_key="k", depends_on=[unknown])
    parents = code(depends_on=[unknown])
    wire.push_many(q, [{}] * (3 - 1))
    limit_before_duplicate = code(unique_key="k")
    wire.pause(q)
    pause_before_limit = code(unique_key="k")
    input_before_pause = code(unique_key="k" * 2_000)

    assert (duplicate_before_parents, parents) == ("DUPLICATE_KEY", "VALIDATION_ERROR")
    assert (limit_before_duplicate, pause_before_limit) == ("RATE_LIMITED", "QUEUE_PAUSED")
    assert input_before_pause == "VALIDATION_ERROR"


def test_4_6_2_a_batch_larger_than_the_burst_never_passes_and_stores_nothing(
    wire: Wire, server: Server, q: str
) -> None:
    put = {"Content-Type": "application/json"}
    server.client().send("PUT", f"/queues/{q}/push-limit", b'{"rate":0.001,"burst":2}', put)

    with pytest.raises(Refused) as refused:
        wire.push_many(q, [{}] * 3)

    assert refused.value.code == "RATE_LIMITED"
    assert wire.counts(q)["waiting"] == 0
    assert len(wire.push_many(q, [{}] * 2)) == 2


@pytest.mark.parametrize(
    "job",
    [
        {"tags": ["t"] * 65},
        {"tags": ["t" * 300]},
        {"custom_id": "c" * 300},
        {"group_id": "g" * 300},
        {"flow_id": "f" * 300},
        {"delay_ms": 2**63},
    ],
)
def test_4_b43_b10_what_was_unbounded_has_a_limit(wire: Wire, q: str, job: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        wire.push(q, **job)

    assert refused.value.code == "VALIDATION_ERROR" and next(iter(job)).rstrip("s") in refused.value.message
    assert wire.push(q), "the connection goes on"


# --- 8: schedules --------------------------------------------------------------------------------------


def test_8_a_schedule_pushes_its_job_with_data_and_options_until_its_maximum(wire: Wire, q: str) -> None:
    options = {"priority": 3, "tags": ["by-schedule"]}
    wire.create_schedule(
        name=q, queue=q, job_name="tick", job_data={"a": 1}, job_options=options, every_ms=50, max_executions=2
    )

    eventually(lambda: wire.counts(q)["waiting"] == 2, what="both firings")

    job, schedule = wire.pull(q, count=1), wire.schedule(q)
    assert [(each["name"], each["data"], each["priority"], each["tags"]) for each in job] == [
        ("tick", {"a": 1}, 3, ["by-schedule"])
    ]
    assert (schedule["execution_count"], schedule["paused"]) == (2, True)
    assert schedule["last_run_at"] and schedule["job_options"]["priority"] == 3


def test_8_b17_a_schedule_at_its_maximum_does_not_fire_once_more(wire: Wire, q: str) -> None:
    wire.create_schedule(name=q, queue=q, job_name="n", every_ms=50, max_executions=1)
    eventually(lambda: wire.schedule(q)["execution_count"] == 1, what="the firing")

    wire.on_schedule("resume", q)
    wire.create_schedule(name=f"{q}-after", queue=q + "-after", job_name="n", every_ms=50, max_executions=3)
    eventually(lambda: wire.counts(q + "-after")["waiting"] == 3, what="a schedule that fires often meanwhile")

    assert (wire.schedule(q)["execution_count"], wire.counts(q)["waiting"]) == (1, 1)


def test_8_b17_creating_a_schedule_again_keeps_its_history(wire: Wire, q: str) -> None:
    wire.create_schedule(name=q, queue=q, job_name="n", cron_expr="0 3 * * *")
    eventually(lambda: wire.schedule(q)["execution_count"] == 1, what="the first firing")
    wire.on_schedule("pause", q)

    wire.create_schedule(name=q, queue=q, job_name="other", cron_expr="0 3 * * *")

    schedule = wire.schedule(q)
    assert (schedule["job_name"], schedule["execution_count"], schedule["paused"]) == ("other", 1, True)
    wire.on_schedule("delete", q)


def test_8_b21_a_cron_schedule_keeps_to_its_time_zone(wire: Wire, q: str) -> None:
    wire.create_schedule(
        name=q, queue=q, job_name="n", cron_expr="30 2 1 1 *", timezone="Asia/Kolkata", fires_at_once=False
    )

    assert wire.schedule(q)["next_run_at"].endswith("-12-31T21:00:00Z")
    wire.on_schedule("delete", q)


@pytest.mark.parametrize("cron", ["* * * *", "61 * * * *", "@never", "* * * * * * *", "0 0 31 2 *"])
def test_8_a_cron_expression_that_is_none_is_refused(wire: Wire, q: str, cron: str) -> None:
    with pytest.raises(Refused) as refused:
        wire.create_schedule(name=q, queue=q, job_name="n", cron_expr=cron)

    assert refused.value.code == "VALIDATION_ERROR" and "Invalid cron" in refused.value.message


@pytest.mark.parametrize("cron", ["@hourly", "*/5 0-6,22 * JAN-MAR MON", "0 0 L * ?", "0 0 15W * *", "0 0 ? * 5#2"])
def test_8_the_dialect_of_cron_is_that_of_the_wire(wire: Wire, q: str, cron: str) -> None:
    wire.create_schedule(name=q, queue=q, job_name="n", cron_expr=cron, fires_at_once=False)

    assert wire.schedule(q)["cron_expr"] == cron
    wire.on_schedule("delete", q)


# --- 19: what is better ----------------------------------------------------------------------------------


def test_b8_a_heartbeat_behind_an_ack_changes_nothing(wire: Wire, q: str) -> None:
    job_id = wire.push(q)
    wire.pull(q)
    wire.ack(job_id)

    for late in (wire.heartbeat, wire.fail):
        with pytest.raises(Refused) as refused:
            late(job_id)
        assert refused.value.code == "INVALID_STATE"

    assert wire.get(job_id)["state"] == "completed"


def test_b20_a_job_beyond_its_time_to_live_does_not_run(wire: Wire, q: str) -> None:
    job_id = wire.push(q, ttl_ms=50)

    eventually(lambda: wire.get(job_id)["state"] == "cancelled", what="the end of its time")

    assert wire.pull(q) == []


def test_b20_lifo_is_honoured_and_groups_take_turns(wire: Wire, q: str) -> None:
    older, newer = wire.push(q, lifo=True), wire.push(q, lifo=True)
    groups = [wire.push(q + "-g", group_id=group) for group in ("a", "a", "b")]

    assert [job["id"] for job in wire.pull(q)] == [newer, older]
    assert [job["id"] for job in wire.pull(q + "-g", count=3)] == [groups[0], groups[2], groups[1]]


def test_b29_the_logs_of_a_job_are_bounded_and_the_newest_stay(wire: Wire, q: str) -> None:
    job_id = wire.push(q)
    wire.pull(q)
    if isinstance(wire, DOORS["rest"]):
        pytest.skip("a thousand requests: over TCP that is the same call of the engine")
    for number in range(1_003):
        wire.progress(job_id, 1, str(number))

    logs = wire.get(job_id)["logs"]

    assert (len(logs), logs[-1]["message"]) == (1_000, "1002")


@pytest.mark.parametrize("door", list(DOORS))
def test_b2_b3_what_waits_and_what_is_paused_survives_a_kill_and_a_restart(path: Path, door: str) -> None:
    with serving(path) as server:
        wire = DOORS[door](server)
        parent = wire.push("q")
        child = wire.push("q", depends_on=[parent])
        delayed = wire.push("q", delay_ms=200)
        wire.create_schedule(name="s", queue="s", job_name="n", every_ms=100, max_executions=2)
        wire.pause("paused")
        wire.close()
    with serving(path) as server:
        wire = DOORS[door](server)
        with pytest.raises(Refused) as refused:
            wire.push("paused")
        assert refused.value.code == "QUEUE_PAUSED"

        assert pulled(wire, "q")["id"] == parent
        wire.ack(parent)

        assert {pulled(wire, "q")["id"], pulled(wire, "q")["id"]} == {child, delayed}
        eventually(lambda: wire.counts("s")["waiting"] == 2, what="the schedule to go on")
        wire.close()
