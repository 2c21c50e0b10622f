"""A shop in Flask, with Flask-SQLAlchemy on the database that also holds its queue. The environment names it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from pyqueue.contrib.flask import FlaskQueue
from pyqueue.core.errors import ConfigError
from pyqueue.testing import eager, in_memory
from tests import servers
from tests.contrib.contract import Answer

db = SQLAlchemy()
queue = FlaskQueue()


class Order(db.Model):  # type: ignore[name-defined,misc]  # a class that is made at run time
    """An order."""

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    is_receipt_sent: Mapped[bool] = mapped_column(default=False)


@queue.task
def send_receipt(order_id: int) -> str:
    """Says so in the order."""
    order = db.session.get_one(Order, order_id)
    order.is_receipt_sent = True
    db.session.commit()
    return order.email


@queue.task(max_attempts=2, backoff_delay_ms=0)
def fail() -> None:
    """Never succeeds."""
    raise LookupError("nothing left")


@queue.task
async def greet(name: str) -> str:
    """Runs on the event loop."""
    return f"hello {name}"


def create_app(**config: Any) -> Flask:
    """The application, with these settings instead of those of the environment."""
    app = Flask(__name__)
    url = os.environ.get("SHOP_DATABASE", "sqlite:///shop.db")
    app.config.update(PYQUEUE_STORAGE=url, SQLALCHEMY_DATABASE_URI=url)
    app.config.update(config)
    db.init_app(app)
    queue.init_app(app)
    app.register_blueprint(queue.blueprint(lambda: request.headers.get("X-Access", "none")), url_prefix="/jobs")

    @app.post("/orders")
    def order() -> dict[str, Any]:
        made = Order(email=request.args["email"])
        db.session.add(made)
        db.session.flush()
        pushed = send_receipt.on(db.session).push(made.id)
        if "fails" in request.args:
            raise LookupError("nothing left")
        db.session.commit()
        return {"order": made.id, "job": pushed}

    @app.post("/aorders")
    async def aorder() -> dict[str, Any]:
        made = Order(email=request.args["email"])
        db.session.add(made)
        db.session.commit()
        return {"order": made.id, "job": await send_receipt.apush(made.id)}

    @app.get("/orders/<int:order_id>")
    def show(order_id: int) -> dict[str, Any]:
        found = db.session.get_one(Order, order_id)
        return {"email": found.email, "is_receipt_sent": found.is_receipt_sent}

    @app.post("/failures")
    def failure() -> dict[str, Any]:
        return {"job": fail.push()}

    @app.post("/eager")
    def eagerly() -> dict[str, Any]:
        with in_memory(queue), eager(queue):
            return {"result": greet.push("you").job().result}

    return app


class FlaskShop:
    """The shop on one database, in this process; its commands and workers are others."""

    def __init__(self, url: str) -> None:
        self.url = url
        alchemy = url.replace("postgresql://", "postgresql+psycopg://") if "://" in url else f"sqlite:///{url}"
        self._environment = {**os.environ, "SHOP_DATABASE": alchemy, "FLASK_APP": "tests.contrib.flask_shop:create_app"}
        self.app = create_app(PYQUEUE_STORAGE=alchemy, SQLALCHEMY_DATABASE_URI=alchemy)
        with self.app.app_context():
            db.create_all()

    def close(self) -> None:
        """Lets go of the database."""
        queue.of(self.app).close()
        with self.app.app_context():
            db.engine.dispose()

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Asks for a page."""
        reply = self.app.test_client().open(path, method=method, json=body, headers=dict(headers or {}))
        return Answer(reply.status_code, reply.get_json(silent=True))

    def command(self, *arguments: str) -> str:
        """What a command says."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", "pyqueue", *arguments],
            env=self._environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_worker(self) -> subprocess.Popen[str]:
        """A worker."""
        return self.start("pyqueue", "worker", "--concurrency", "2")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command of `flask` that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "flask", *arguments],
            env=self._environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def error_with(self, key: str, value: str) -> str:
        """What the application says to a setting."""
        try:
            create_app(**{f"PYQUEUE_{key}": value})
        except ConfigError as error:
            return str(error)
        return ""


@contextmanager
def flask_shop_on(kind: str, folder: Path) -> Iterator[FlaskShop]:
    """The shop on an empty database of this kind."""
    with nullcontext(str(folder / "shop.db")) if kind == "sqlite" else servers.new_database() as url:
        shop = FlaskShop(url)
        try:
            yield shop
        finally:
            shop.close()
