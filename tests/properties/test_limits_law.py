"""Laws of limits and unique keys: held against plain models, whatever is done in whatever order."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pyqueue import Job, PyQueue
from pyqueue.core.bucket import Rate
from pyqueue.core.errors import DuplicateKey
from pyqueue.testing import FakeClock

RATES = st.builds(
    Rate,
    rate=st.sampled_from([0.5, 1.0, 3.0, 7.0, 50.0, 999.0]),
    per_ms=st.sampled_from([1, 1_000, 60_000]),
    burst=st.integers(1, 20),
)


@given(RATES, st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(1, 25)), max_size=60))
def test_a_bucket_never_gives_more_than_its_rate_and_never_forgets_a_token(
    rate: Rate, wishes: list[tuple[int, int]]
) -> None:
    now, full, level, taken = 10**15, None, Fraction(rate.burst), 0
    for wait_us, wanted in wishes:
        now += wait_us
        level = min(Fraction(rate.burst), level + Fraction(wait_us, rate.interval_us))

        free = rate.free(full, now)

        assert free == int(level)
        if free >= wanted:
            full = rate.after(full, now, wanted)
            level -= wanted
            taken += wanted
        elif full is not None and wanted <= rate.burst:
            due = rate.next_us(full, wanted)
            assert rate.free(full, due - 1) < wanted <= rate.free(full, due)
    elapsed = now - 10**15
    assert taken <= rate.burst + elapsed * rate.rate / (rate.per_ms * 1_000)


KEYS = st.sampled_from([None, "a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("push"), KEYS, st.integers(0, 2)),
    st.tuples(st.just("flood"), KEYS, st.integers(30, 45)),
    st.tuples(st.just("pull"), st.none(), st.integers(1, 6)),
    st.tuples(st.just("ack"), st.none(), st.integers(0, 9)),
    st.tuples(st.just("lapse"), st.none(), st.just(0)),
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.lists(STEPS, max_size=40))
def test_a_pull_takes_all_that_the_limits_allow_and_nothing_more(
    of_queue: int, of_key: int, steps: list[tuple[str, str | None, int]]
) -> None:
    clock = FakeClock()
    with PyQueue.memory(clock=clock) as queue:
        queue.set_limit("q", concurrency=of_queue)
        queue.set_limit("q", key="*", concurrency=of_key)
        waiting: Counter[str | None] = Counter()
        running: list[Job] = []
        for step, key, number in steps:
            if step in ("push", "flood"):
                times = 1 if step == "push" else number
                queue.push_many("q", [{"name": "n", "limit_key": key, "priority": number % 3}] * times)
                waiting[key] += times
            elif step == "pull":
                jobs = queue.pull("q", count=number, lease_ms=1_000)
                waiting.subtract(job.limit_key for job in jobs)
                running += jobs
                _require_best(of_queue, of_key, waiting, running, is_short=len(jobs) < number)
            elif step == "ack" and running:
                queue.ack(running.pop(number % len(running)))
            elif step == "lapse":
                clock.advance(ms=1_001)
                queue.housekeep()
                clock.advance(seconds=60)
                queue.housekeep()
                waiting.update(job.limit_key for job in running if queue.get_job(job).state == "waiting")
                running.clear()


def _require_best(
    of_queue: int, of_key: int, waiting: Counter[str | None], running: list[Job], *, is_short: bool
) -> None:
    by_key = Counter(job.limit_key for job in running)
    assert len(running) <= of_queue
    assert all(number <= of_key for key, number in by_key.items() if key)
    if is_short and len(running) < of_queue:
        could_run = [key for key, number in waiting.items() if number and (key is None or by_key[key] < of_key)]
        assert could_run == [], "left behind though no limit held it"


MODES = st.sampled_from(["reject", "ignore", "replace", "debounce", "throttle"])
PUSHES = st.tuples(st.just("push"), MODES, st.sampled_from("xy"))
OTHERS = st.tuples(st.sampled_from(["ack", "fail", "cancel", "wait"]), st.just(""), st.just(""))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(PUSHES, PUSHES, OTHERS), max_size=40))
def test_unique_keys_do_what_a_plain_model_does(steps: list[tuple[str, str, str]]) -> None:
    clock = FakeClock()
    model = UniqueModel()
    with PyQueue.memory(clock=clock) as queue:
        for number, (step, mode, key) in enumerate(steps):
            if step == "push":
                _push_both(queue, model, mode, key, number)
            elif step == "wait":
                clock.advance(ms=700)
                model.wait(700)
            elif step == "cancel" and model.of_state("waiting", "delayed"):
                job_id = model.of_state("waiting", "delayed")[0]
                queue.cancel(job_id)
                model.jobs[job_id]["state"] = "cancelled"
            elif step in ("ack", "fail"):
                model.promote()
                for job in queue.pull("q"):
                    assert model.jobs[job.id]["state"] == "waiting"
                    queue.ack(job) if step == "ack" else queue.fail(job, "no", retry=False)
                    model.jobs[job.id]["state"] = "completed" if step == "ack" else "dlq"
            found = {job.id: (job.state.value, job.data, job.unique_key) for job in queue.list_jobs(limit=1_000).jobs}
            assert found == {i: (job["state"], job["data"], job["key"]) for i, job in model.jobs.items()}


def _push_both(queue: PyQueue, model: UniqueModel, mode: str, key: str, data: int) -> None:
    more: dict[str, dict[str, Any]] = {"debounce": {"delay_ms": 1_000}, "throttle": {"unique_for_ms": 1_500}}
    options: Any = {"unique_key": key, "unique_mode": mode, **more.get(mode, {})}
    expected = model.outcome(mode, key)
    try:
        result = queue.push_unique("q", "n", data, **options)
    except DuplicateKey:
        assert expected == ("rejected", None)
        return
    outcome, job_id = expected
    assert (result.outcome, job_id in (None, result.id)) == (outcome, True)
    if outcome == "pushed":
        assert result.id not in model.jobs
    model.apply(result.id, outcome, mode, key, data)


class UniqueModel:
    """Jobs by id, and the keys that are held for a time. Times in milliseconds."""

    def __init__(self) -> None:
        self.now = 0
        self.jobs: dict[str, dict[str, Any]] = {}
        self.held: dict[str, tuple[str, int]] = {}

    def of_state(self, *states: str) -> list[str]:
        return sorted(job_id for job_id, job in self.jobs.items() if job["state"] in states)

    def wait(self, ms: int) -> None:
        self.now += ms

    def promote(self) -> None:
        for job in self.jobs.values():
            if job["state"] == "delayed" and job["run_at"] <= self.now:
                job["state"] = "waiting"

    def outcome(self, mode: str, key: str) -> tuple[str, str | None]:
        live = [job_id for job_id in self.of_state("waiting", "delayed") if self.jobs[job_id]["key"] == key]
        if mode == "throttle" and not live:
            job_id, until = self.held.get(key, ("", 0))
            return ("ignored", job_id) if until > self.now else ("pushed", None)
        if not live:
            return "pushed", None
        return {"reject": ("rejected", None), "ignore": ("ignored", live[0]), "throttle": ("ignored", live[0])}.get(
            mode, ("replaced", live[0])
        )

    def apply(self, job_id: str, outcome: str, mode: str, key: str, data: int) -> None:
        if outcome == "ignored":
            return
        job = self.jobs.setdefault(job_id, {"state": "waiting", "key": key})
        job["data"] = data
        if mode == "debounce":
            job["state"], job["run_at"] = "delayed", self.now + 1_000
        if mode == "throttle":
            self.held[key] = (job_id, self.now + 1_500)
