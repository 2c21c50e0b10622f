"""A shop in FastAPI, with SQLAlchemy on the database that also holds its queue. The environment names it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pyqueue import Tasks
from pyqueue.contrib.fastapi import QueueDep, lifespan, mounted_api
from pyqueue.testing import eager, in_memory
from tests import servers
from tests.contrib.contract import Answer

tasks = Tasks()


class Base(DeclarativeBase):
    """The tables."""


class Order(Base):
    """An order."""

    __tablename__ = "shop_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    is_receipt_sent: Mapped[bool] = mapped_column(default=False)


@tasks.task
def send_receipt(order_id: int) -> str:
    """Says so in the order."""
    engine = engine_on(os.environ["SHOP_DATABASE"])
    with Session(engine) as session, session.begin():
        order = session.get_one(Order, order_id)
        order.is_receipt_sent = True
        email = order.email
    engine.dispose()
    return email


@tasks.task(max_attempts=2, backoff_delay_ms=0)
def fail() -> None:
    """Never succeeds."""
    raise LookupError("nothing left")


@tasks.task
async def greet(name: str) -> str:
    """Runs on the event loop."""
    return f"hello {name}"


def engine_on(url: str) -> Engine:
    """The database of the shop."""
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://") if "://" in url else f"sqlite:///{url}")


def create_app(url: str, engine: Engine) -> FastAPI:
    """The application."""
    app = FastAPI(lifespan=lifespan(url, tasks=tasks))
    app.mount("/jobs", mounted_api(lambda connection: connection.headers.get("x-access", "none")))

    @app.post("/orders")
    def order(email: str, fails: bool = False) -> dict[str, Any]:
        with Session(engine) as session, session.begin():
            made = Order(email=email)
            session.add(made)
            session.flush()
            pushed = send_receipt.on(session).push(made.id)
            if fails:
                raise LookupError("nothing left")
            return {"order": made.id, "job": pushed}

    @app.post("/aorders")
    async def aorder(email: str) -> dict[str, Any]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            made = Order(email=email)
            session.add(made)
        return {"order": made.id, "job": await send_receipt.apush(made.id)}

    @app.get("/orders/{order_id}")
    def show(order_id: int) -> dict[str, Any]:
        with Session(engine) as session:
            found = session.get_one(Order, order_id)
            return {"email": found.email, "is_receipt_sent": found.is_receipt_sent}

    @app.post("/failures")
    async def failure() -> dict[str, Any]:
        return {"job": await fail.apush()}

    @app.post("/eager")
    def eagerly(queue: QueueDep) -> dict[str, Any]:
        with in_memory(queue), eager(queue):
            return {"result": greet.push("you").job().result}

    return app


class FastApiShop:
    """The shop on one database, in this process; its commands and workers are others."""

    def __init__(self, url: str, client: TestClient) -> None:
        self.url, self._client = url, client

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Asks for a page."""
        reply = self._client.request(method, path, json=body, headers=headers)
        is_json = reply.headers["content-type"].startswith("application/json")
        return Answer(reply.status_code, reply.json() if is_json else reply.text)

    def command(self, *arguments: str) -> str:
        """What a command says."""
        done = subprocess.run(
            [sys.executable, "-m", "pyqueue", *arguments],
            env={**os.environ, "PYQUEUE_STORAGE": self.url},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_worker(self) -> subprocess.Popen[str]:
        """A worker."""
        return subprocess.Popen(
            [sys.executable, "-m", "pyqueue", "worker", "tests.contrib.fastapi_shop:tasks"],
            env={**os.environ, "PYQUEUE_STORAGE": self.url, "SHOP_DATABASE": self.url},
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@contextmanager
def fastapi_shop_on(kind: str, folder: Path) -> Iterator[FastApiShop]:
    """The shop on an empty database of this kind."""
    with nullcontext(str(folder / "shop.db")) if kind == "sqlite" else servers.new_database() as url:
        engine = engine_on(url)
        Base.metadata.create_all(engine)
        try:
            with TestClient(create_app(url, engine), raise_server_exceptions=False) as client:
                yield FastApiShop(url, client)
        finally:
            engine.dispose()
