"""Webhooks in the database: registered, edited, and given each event once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pyqueue import PyQueue
from pyqueue.core.errors import ValidationError, WebhookNotFound
from pyqueue.core.webhook import QUEUE
from pyqueue.testing import FakeClock

DELIVERY = {"data": {"webhook_id": "w", "event": "job.pushed"}, "tags": ["w"]}


def test_a_webhook_is_told_of_what_happens_from_its_registration_on(queue: PyQueue) -> None:
    queue.push("q", "n")
    hook = queue.create_webhook("https://example.com/hook", events=["job.completed"], queues=["q"], secret="s")

    assert hook.since == queue.events().position
    assert queue.list_webhooks() == [hook] == [queue.get_webhook(hook.id)]
    assert hook.wants("job_completed", "q")
    assert not hook.wants("job_completed", "other")
    assert not hook.wants("job_failed", "q")
    assert "example" not in repr(hook)


def test_an_edit_changes_what_is_given(queue: PyQueue, clock: FakeClock) -> None:
    hook = queue.create_webhook("https://example.com/hook", events=["job_failed"], secret="s")
    clock.advance(seconds=1)

    edited = queue.edit_webhook(hook.id, url="http://example.com/other", queues=["q"])

    assert (edited.url, edited.events, edited.queues, edited.secret) == (
        "http://example.com/other", ("job_failed",), ("q",), "s",
    )  # fmt: skip
    assert edited.updated_at > edited.created_at
    assert queue.edit_webhook(hook.id, secret="").secret is None
    with pytest.raises(WebhookNotFound):
        queue.edit_webhook("nobody", is_active=True)


def test_so_many_failures_in_a_row_stop_it_and_a_success_forgives(queue: PyQueue) -> None:
    hook = queue.create_webhook("https://example.com/hook")

    assert queue.note_delivery(hook.id, "x", failures_max=2)
    assert queue.note_delivery(hook.id, None, failures_max=2)
    assert queue.note_delivery(hook.id, "x", failures_max=2)
    assert not queue.note_delivery(hook.id, "y", failures_max=2)
    assert queue.get_webhook(hook.id).last_error == "y"

    queue.push("q", "n")
    again = queue.edit_webhook(hook.id, is_active=True)
    assert (again.is_active, again.failures, again.since) == (True, 0, queue.events().position)


def test_of_many_who_hand_over_the_same_events_one_does(queue: PyQueue) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: queue.hand_over(0, 7, [DELIVERY]), range(16)))

    assert sum(outcomes) == 1
    assert queue.stats(QUEUE).waiting == 1
    assert queue.registered().handed_to == 7
    assert not queue.hand_over(3, 9, [DELIVERY])


def test_what_does_not_fit_is_refused(queue: PyQueue) -> None:
    for url in ("", "example.com", "ftp://example.com", "http://u:p@example.com", "http://ex ample.com", None):
        with pytest.raises(ValidationError):
            queue.create_webhook(url)  # type: ignore[arg-type]  # None too
    with pytest.raises(ValidationError, match="job_vanished"):
        queue.create_webhook("http://example.com", events=["job.vanished"])
    assert queue.list_webhooks() == []


def test_no_follow_up_gets_among_the_deliveries(queue: PyQueue) -> None:
    with pytest.raises(ValidationError, match="one of your own"):
        queue.push("q", "n", metadata={"follow_ups": [{"queue": QUEUE, "name": "deliver"}]})
