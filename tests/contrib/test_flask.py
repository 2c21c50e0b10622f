"""Flask: what its adapter has beyond the contract."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

pytest.importorskip("flask")

from flask import Flask, current_app, g, url_for

from pyqueue import JobState, PyQueue, Tasks
from pyqueue.contrib.flask import FlaskQueue
from pyqueue.core.errors import ConfigError, JobNotFound
from pyqueue.testing import FakeClock, assert_pushed, eager, in_memory


@pytest.fixture
def extension() -> FlaskQueue:
    queue = FlaskQueue()

    @queue.task
    def name_of_app() -> str:
        g.seen = getattr(g, "seen", 0) + 1
        return f"{current_app.name} {g.seen}"

    @queue.task
    async def address(path: str) -> str:
        return url_for("static", filename=path, _external=True)

    return queue


def app_of(queue: FlaskQueue, folder: Path, name: str = "shop", **config: Any) -> Flask:
    app = Flask(name, instance_path=str(folder / name))
    app.config.update({"PYQUEUE_STORAGE": "jobs.db", **config})
    queue.init_app(app)
    return app


def test_each_application_has_its_own_queue_and_jobs_run_in_theirs(extension: FlaskQueue, tmp_path: Path) -> None:
    apps = [app_of(extension, tmp_path, name) for name in ("one", "two")]
    ran = {}

    for app in apps:
        with app.app_context():
            g.seen = 10
            pushed = [extension.push("default", "name-of-app", {}) for _ in range(2)]
            extension.drain()
            ran[app.name] = [extension.get_job(each).result for each in pushed]

    assert ran == {"one": ["one 1", "one 1"], "two": ["two 1", "two 1"]}
    assert [extension.of(app).path for app in apps] == [str(tmp_path / name / "jobs.db") for name in ("one", "two")]


def test_a_worker_started_in_a_context_goes_on_without_it(extension: FlaskQueue, tmp_path: Path) -> None:
    app = app_of(extension, tmp_path, PYQUEUE_BASE_URL="https://shop.example/eu")
    with app.app_context():
        worker = extension.worker(max_jobs=2)
        plain = extension.push("default", "name-of-app", {})
        looped = extension.push("default", "address", {"path": "a.css"})

    with extension.of(app) as queue:
        worker.run()

        assert queue.get_job(plain).result == "shop 1"
        assert queue.get_job(looped).result == "https://shop.example/eu/static/a.css"


def test_a_handler_runs_in_the_context_too(extension: FlaskQueue, tmp_path: Path) -> None:
    app = app_of(extension, tmp_path)
    with app.app_context():
        pushed = extension.push("other", "anything")
        extension.drain("other", lambda job: f"{job.name} in {current_app.name}")

        assert extension.get_job(pushed).result == "anything in shop"


def test_without_an_application_the_error_says_what_to_do(extension: FlaskQueue, tmp_path: Path) -> None:
    app_of(extension, tmp_path)

    with pytest.raises(ConfigError, match=r"with app\.app_context"):
        extension.push("default", "name-of-app", {})
    with Flask("bare").app_context(), pytest.raises(ConfigError, match=r"'bare' has no queue.*init_app"):
        extension.push("default", "name-of-app", {})


def test_tasks_schedules_and_hooks_are_there_before_any_application(extension: FlaskQueue, tmp_path: Path) -> None:
    blueprint_tasks = Tasks()
    seen = []

    @extension.cron("0 3 * * *")
    @blueprint_tasks.task(queue="nightly")
    def tidy() -> None: ...

    @extension.wrap_push
    def note(pushing: Any) -> Iterator[None]:
        yield
        seen.append(pushing.names)

    extension.include(blueprint_tasks)
    app = app_of(extension, tmp_path)

    with app.app_context():
        extension.sync_schedules()
        tidy.push()
        assert [each.name for each in extension.list_schedules()] == ["tidy"]
        assert_pushed(extension, "tidy", on_queue="nightly", count=1)
    assert seen == [["tidy"]]


def test_a_push_commits_and_rolls_back_with_peewee(extension: FlaskQueue, tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "shop.db"))
    app = app_of(extension, tmp_path, PYQUEUE_STORAGE=str(tmp_path / "shop.db"))
    with app.app_context():
        with database.atomic():
            kept = extension.on(database).push("default", "name-of-app", {})
        with database.atomic() as transaction:
            lost = extension.on(database).push("default", "name-of-app", {})
            transaction.rollback()

        assert extension.get_job(kept).state is JobState.WAITING
        with pytest.raises(JobNotFound):
            extension.get_job(lost)
    database.close()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("PYQUEUE_STORAGGE", "jobs.db", r"'PYQUEUE_STORAGGE'.* Did you mean 'PYQUEUE_STORAGE'\?"),
        ("PYQUEUE_STORAGE", None, "PYQUEUE_STORAGE is not set"),
        ("PYQUEUE_STORAGE", 5, "storage"),
        ("PYQUEUE_STORAGE", "mysql://db", "scheme 'mysql'"),
        ("PYQUEUE_DURABILITY", "much", "durability 'much'"),
        ("PYQUEUE_BASE_URL", "shop.example", "https://shop.example"),
        ("PYQUEUE_EMBEDDED_WORKERS", "2", "PYQUEUE_EMBEDDED_WORKERS"),
        ("PYQUEUE_EAGER", "yes", "PYQUEUE_EAGER"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(
    extension: FlaskQueue, tmp_path: Path, key: str, value: Any, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        app_of(extension, tmp_path, **{key: value})


def test_an_application_has_one_queue(extension: FlaskQueue, tmp_path: Path) -> None:
    app = app_of(extension, tmp_path)

    with pytest.raises(ConfigError, match="has a queue already"):
        FlaskQueue(app)


def test_relative_addresses_are_those_of_flask_sqlalchemy(extension: FlaskQueue, tmp_path: Path) -> None:
    from flask_sqlalchemy import SQLAlchemy

    url = "sqlite:///data/shop.db"
    (tmp_path / "shop" / "data").mkdir(parents=True)
    app = app_of(extension, tmp_path, PYQUEUE_STORAGE=url, SQLALCHEMY_DATABASE_URI=url)
    database = SQLAlchemy(app)

    with app.app_context():
        assert database.engine.url.database == extension.path
        pushed = extension.on(database.session).push("default", "name-of-app", {})
        database.session.rollback()
        with pytest.raises(JobNotFound):
            extension.get_job(pushed)
        database.engine.dispose()


def test_an_application_under_test_has_its_queue_in_memory(extension: FlaskQueue, tmp_path: Path) -> None:
    app = Flask("shop", instance_path=str(tmp_path))
    app.config.update(TESTING=True, PYQUEUE_EAGER=True, PYQUEUE_EMBEDDED_WORKERS=1)
    extension.init_app(app)

    with app.app_context():
        assert extension.get_job(extension.push("default", "name-of-app", {})).result == "shop 1"
        assert app.test_client().get("/").status_code == 404
        assert extension.workers() == []
    assert extension.of(app).path == ":memory:"
    assert list(tmp_path.iterdir()) == []


def test_the_tools_for_tests_work_on_the_extension(extension: FlaskQueue, tmp_path: Path) -> None:
    app = app_of(extension, tmp_path)
    clock = FakeClock()

    with app.app_context(), in_memory(extension, clock=clock), eager(extension):
        delayed = extension.push("default", "name-of-app", {}, delay_ms=60_000)
        at_once = extension.push("default", "name-of-app", {})
        assert extension.get_job(at_once).state is JobState.COMPLETED
        assert extension.get_job(delayed).state is JobState.DELAYED
        extension.drain()
        assert extension.get_job(delayed).state is JobState.COMPLETED
    assert not (tmp_path / "shop" / "jobs.db").exists()


def test_an_application_that_nobody_has_any_more_is_forgotten(extension: FlaskQueue, tmp_path: Path) -> None:
    app = app_of(extension, tmp_path, PYQUEUE_EMBEDDED_WORKERS=1)
    gone = weakref.ref(app)

    del app
    gc.collect()

    assert gone() is None and repr(extension) == "<FlaskQueue of 0 applications>"


def test_commands_work_on_the_application_that_has_them(extension: FlaskQueue, tmp_path: Path) -> None:
    app = app_of(extension, tmp_path)
    with app.app_context():
        pushed = extension.push("default", "name-of-app", {})

    with extension.of(app):
        done = app.test_cli_runner().invoke(args=["pyqueue", "worker", "--burst"])
        shown = app.test_cli_runner().invoke(args=["pyqueue", "inspect", pushed])
        processes = app.test_cli_runner().invoke(args=["pyqueue", "worker", "--mode", "process"])

    assert done.exit_code == 0 and "1 completed, 0 failed" in done.stderr
    assert shown.exit_code == 0 and "shop 1" in shown.stdout
    assert processes.exit_code == 2 and "expected flask --app MODULE:FACTORY" in processes.stderr


def test_a_command_before_the_first_use_says_how_to_make_the_queue(extension: FlaskQueue, tmp_path: Path) -> None:
    runner = app_of(extension, tmp_path).test_cli_runner()

    before = runner.invoke(args=["pyqueue", "schedules", "list"])
    made = runner.invoke(args=["pyqueue", "migrate"])
    after = runner.invoke(args=["pyqueue", "schedules", "list"])

    assert before.exit_code == 2 and "made by `shop pyqueue migrate`" in before.stderr
    assert (made.exit_code, after.exit_code) == (0, 0), made.stderr


def test_a_worker_in_mode_process_has_to_know_how_children_make_the_application(
    extension: FlaskQueue, tmp_path: Path
) -> None:
    app = app_of(extension, tmp_path)

    with app.app_context():
        with pytest.raises(ConfigError, match=r"import_path='MODULE:NAME' of a variable that is queue\.of\(app\)"):
            extension.worker(mode="process")
        with pytest.raises(ConfigError, match="no other handler; leave it out"):
            extension.worker("q", print, mode="process")


def test_the_api_may_be_under_several_prefixes_and_authorised_by_a_coroutine(
    extension: FlaskQueue, tmp_path: Path
) -> None:
    async def as_admin() -> str:
        return "admin"

    app = app_of(extension, tmp_path)
    app.register_blueprint(extension.blueprint(as_admin), url_prefix="/a")
    app.register_blueprint(extension.blueprint(lambda: "read", name="readers", url_prefix="/b/c"))
    client = app.test_client()

    assert client.post("/a/api/v1/queues/q/jobs", json={"name": "n", "data": {}}).status_code == 201
    assert client.post("/b/c/api/v1/queues/q/jobs", json={"name": "n", "data": {}}).status_code == 403
    assert client.get("/b/c/api/v1/openapi.json").get_json()["servers"] == [{"url": "../v1"}]
    assert client.head("/b/c/api/v1/queues").status_code == 200
    assert "streamed by ASGI" in client.get("/a/api/v1/events/stream").get_json()["error"]["message"]
    assert client.post("/a/api/v1/queues/q/jobs", data=b"[" * 17_000_000).status_code == 413


def test_without_a_blueprint_there_is_no_api(extension: FlaskQueue, tmp_path: Path) -> None:
    app = app_of(extension, tmp_path)

    assert {rule.endpoint for rule in app.url_map.iter_rules()} == {"static"}


def test_other_handles_see_what_an_application_pushes(extension: FlaskQueue, tmp_path: Path) -> None:
    app = app_of(extension, tmp_path)
    with app.app_context():
        pushed = extension.push("default", "name-of-app", {})

    with PyQueue(tmp_path / "shop" / "jobs.db") as queue:
        assert queue.get_job(pushed).state is JobState.WAITING
