"""The Python in docs/listen.md runs as it stands there, and its application sends its events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.pages import DOCS, blocks_of
from tests.fixtures.pgbouncer import Pgbouncer
from tests.parity.scratch import committed, own

PAGE = DOCS / "listen.md"


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = own("orders_of_listen_page")
    id: Mapped[int] = mapped_column(primary_key=True)


async def run_block(number: int, names: dict[str, Any]) -> None:
    """Run one block of the page, in which a wait may stand anywhere."""
    lines = "".join(f"    {line}\n" for line in blocks_of(PAGE)[number].splitlines())
    exec(f"async def block():\n{lines}", names)
    await names["block"]()


async def is_true(condition: Any) -> None:
    for _ in range(6_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not come true within a minute")


def test_the_page_runs(pgflight_dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    assert len(blocks_of(PAGE)) == 4
    handled: list[tuple[str, str]] = []
    reads: list[int] = []

    async def read_everything() -> None:
        reads.append(1)

    async def work() -> None:
        engine = pgflight_dialect.engine()
        names = {
            "pgflight": pgflight,
            "engine": engine,
            "AsyncSession": AsyncSession,
            "Order": Order,
            "read_everything": read_everything,
            "handle": lambda *item: handled.append(item),
            "direct_url": pgflight_dialect.url(),
        }
        async with committed(engine, Base.metadata):
            listening = asyncio.create_task(run_block(0, names))
            await is_true(lambda: reads)
            await run_block(1, names)
            await is_true(lambda: handled)
            listening.cancel()
            await asyncio.wait({listening})
        names["engine"] = pgflight_dialect.engine(pgbouncer.url())
        await run_block(2, names)

    asyncio.run(work())
    assert handled == [("orders", "7")]


def test_the_application(dialect: Dialect) -> None:
    names: dict[str, Any] = {
        "pgflight": pgflight,
        "asyncio": asyncio,
        "json": json,
        "asynccontextmanager": asynccontextmanager,
        "AsyncIterator": AsyncIterator,
        "AsyncSession": AsyncSession,
        "FastAPI": FastAPI,
        "StreamingResponse": StreamingResponse,
        "Order": Order,
        "__name__": "page",
    }
    received = bytearray()

    async def work(engine: AsyncEngine) -> None:
        names["engine"] = engine
        exec(blocks_of(PAGE)[3], names)
        app: FastAPI = names["app"]
        leaves = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            received.extend(message.get("body", b""))

        async with committed(engine, Base.metadata), app.router.lifespan_context(app):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "method": "GET",
                "path": "/events",
                "raw_path": b"/events",
                "query_string": b"",
                "headers": [],
            }
            browser = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
            await is_true(lambda: names["clients"])
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                keys = iter(range(1, 1000))
                # the listener of the application begins by itself, and nobody waits for it
                while b'"order"' not in received:
                    assert (await client.post(f"/orders/{next(keys)}")).status_code == 201
                    await asyncio.sleep(0.02)
                last = next(keys)
                await client.post(f"/orders/{last}")
            await is_true(lambda: f'data: {{"order": {last}}}\n\n'.encode() in received)
            leaves.set()
            await browser
            assert not names["clients"]

            client_queue: asyncio.Queue[str] = asyncio.Queue(2)
            for event in ("a", "b", "c"):
                names["tell"](client_queue, event)
            assert client_queue.get_nowait() == names["RELOAD"]
            assert client_queue.empty()

    async def main() -> None:
        await work(dialect.engine())

    asyncio.run(main())
    assert received.startswith(b"event: reload\ndata:\n\n")
