"""The commands on webhooks."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from pyqueue import PyQueue
from pyqueue.cli.main import main


def run(*arguments: str, storage: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["webhooks", *arguments, "--storage", storage], env=environment)


def test_a_webhook_is_created_listed_edited_tested_and_deleted(storage: str) -> None:
    made = run(
        "create", "https://example.com/hook", "--event", "job.failed", "--queue", "emails",
        storage=storage, PYQUEUE_WEBHOOK_SECRET="hidden-secret",
    )  # fmt: skip
    hook = made.stdout.strip()
    assert made.exit_code == 0

    shown = run("list", "--json", storage=storage).stdout
    [listed] = map(json.loads, shown.splitlines())
    assert (listed["id"], listed["events"], listed["queues"]) == (hook, ["job_failed"], ["emails"])
    assert "hidden-secret" not in shown
    assert run("edit", hook, "--stopped", storage=storage).exit_code == 0
    assert "stopped" in run("list", storage=storage).stdout
    assert run("edit", hook, "--active", "--event", "job_pushed", storage=storage).exit_code == 0
    with PyQueue(storage) as queue:
        found = queue.get_webhook(hook)
        assert (found.is_active, found.events, found.secret) == (True, ("job_pushed",), "hidden-secret")
        [job_id] = run("test", hook, storage=storage).stdout.split()
        assert queue.get_job(job_id).data["event"] == "webhook.test"
    assert run("delete", hook, storage=storage).exit_code == 0
    assert "no webhooks" in run("list", storage=storage).stderr


def test_what_is_wrong_is_told_with_the_right_status(storage: str) -> None:
    with PyQueue(storage) as queue:
        queue.stats("q")

    assert run("create", "example.com", storage=storage).exit_code == 2
    assert run("create", "https://example.com", "--event", "job_vanished", storage=storage).exit_code == 2
    gone = run("delete", "nobody", storage=storage)
    assert gone.exit_code == 1
    assert "no webhook has the id" in gone.stderr
