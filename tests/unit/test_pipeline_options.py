"""The options `pipeline` and `ping_bypass_window`: three places, one meaning, clear refusals."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import asyncpg
import pytest
from sqlalchemy import URL, create_engine, engine_from_config, make_url
from sqlalchemy.dialects import plugins
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from pgflight import driver
from pgflight._warnings import PgflightWarning
from pgflight.dbapi.connection import AsyncAdapt_asyncpg_connection
from pgflight.driver import capability
from tests.fixtures.engines import Dialect
from tests.fixtures.server import Server

NOWHERE = "postgresql+pgflight://u:p@h/db"
# Where the package runs from its source tree there is no entry point to find it by.
plugins.register("pgflight", "pgflight.plugin", "PgflightPlugin")
pipeline_possible = pytest.mark.skipif(
    not driver.can_pipeline(), reason="PGFLIGHT_DRIVER=public: the pipeline is off everywhere"
)


async def options(engine: Any) -> tuple[str, float]:
    """Return both options of a new connection of `engine`."""
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        return session_options(raw.dbapi_connection)


def session_options(adapted: Any) -> tuple[str, float]:
    """Return the waits that a connection saves, and its ping's bypass window."""
    session = adapted.session
    return session.transactions.saves, session.options.ping_bypass_window


def mode(wanted: str) -> str:
    return wanted if driver.can_pipeline() else "off"


def url(dialect: Dialect, query: str = "") -> URL:
    return dialect.url().update_query_string(query)


@pytest.mark.parametrize(
    ("query", "connect_args", "arguments", "expected"),
    [
        ("", {}, {}, ("auto", 0.0)),
        ("pipeline=begin&ping_bypass_window=2", {}, {}, ("begin", 2.0)),
        ("pipeline=OFF&ping_bypass_window=0", {}, {}, ("off", 0.0)),
        ("", {"pipeline": "begin", "ping_bypass_window": 3}, {}, ("begin", 3)),
        ("pipeline=off", {"pipeline": "begin"}, {}, ("begin", 0.0)),
        ("pipeline=off", {"pipeline": None}, {}, ("auto", 0.0)),
        ("", {}, {"pipeline": "begin", "ping_bypass_window": 1.5}, ("begin", 1.5)),
        ("pipeline=off", {}, {"pipeline": "auto"}, ("auto", 0.0)),
        ("", {"pipeline": "off", "ping_bypass_window": 1}, {"pipeline": "begin"}, ("begin", 1)),
        ("", {"ping_bypass_window": 1}, {"ping_bypass_window": "0.25"}, ("auto", 0.25)),
        ("pipeline=begin", {}, {"pipeline": None}, ("begin", 0.0)),
    ],
)
def test_places_and_precedence(
    pgflight_dialect: Dialect,
    query: str,
    connect_args: dict[str, Any],
    arguments: dict[str, Any],
    expected: tuple[str, float],
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(
            url(pgflight_dialect, query), connect_args=connect_args, **arguments
        )
        assert await options(engine) == (mode(expected[0]), expected[1])

    asyncio.run(work())


# SQLAlchemy 2.0 has an argument of that name, and says that it will go
@pytest.mark.filterwarnings("ignore:.*async_fallback dialect argument")
def test_synchronous_use(server: Server) -> None:
    target = server.url("postgresql+pgflight").update_query_string("async_fallback=true")
    engine = create_engine(target, pipeline="begin", ping_bypass_window=4, poolclass=NullPool)
    with engine.connect() as connection:
        adapted: Any = connection.connection.dbapi_connection
        assert session_options(adapted) == (mode("begin"), 4)
    engine.dispose()


# SQLAlchemy 2.0 has an argument of that name, and says that it will go
@pytest.mark.filterwarnings("ignore:.*async_fallback dialect argument")
def test_a_plugin_and_a_configuration(server: Server) -> None:
    async def work() -> None:
        target = server.url("postgresql+asyncpg")
        plugged = create_async_engine(target, plugins=["pgflight"], pipeline="begin")
        assert await options(plugged) == (mode("begin"), 0.0)
        await plugged.dispose()

    asyncio.run(work())
    configured = engine_from_config(
        {
            "x.url": f"{NOWHERE}?async_fallback=true",
            "x.pipeline": "off",
            "x.ping_bypass_window": "9",
        },
        prefix="x.",
    )
    assert configured.dialect._given_options["ping_bypass_window"] == 9.0  # type: ignore[attr-defined]


def test_an_async_creator_gets_the_engine_arguments(pgflight_dialect: Dialect) -> None:
    dsn = pgflight_dialect.server.url("postgresql").render_as_string(False)

    async def creator() -> Any:
        return await asyncpg.connect(dsn)

    async def work() -> None:
        engine = pgflight_dialect.engine(async_creator=creator, pipeline="begin")
        assert await options(engine) == (mode("begin"), 0.0)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("pipeline", "on", "one of auto, begin, off, for example pipeline=auto"),
        ("pipeline", "", "one of auto, begin, off"),
        ("ping_bypass_window", "-1", "0 to ping at every checkout, for example"),
        ("ping_bypass_window", "soon", "a number of seconds"),
        ("ping_bypass_window", "inf", "a number of seconds"),
    ],
)
def test_wrong_values(pgflight_dialect: Dialect, name: str, value: str, fix: str) -> None:
    in_url = f"{name}='{value}' in the URL is not valid.*{fix}"
    with pytest.warns(PgflightWarning, match=in_url):
        nowhere = create_async_engine(make_url(NOWHERE).update_query_dict({name: value}))
    with pytest.raises(ArgumentError, match=f"{name}='{value}' in create_engine.*{fix}"):
        create_async_engine(NOWHERE, **{name: value})

    async def work() -> None:
        with pytest.raises(ArgumentError, match=in_url):
            await nowhere.connect()
        engine = pgflight_dialect.engine(connect_args={name: value})
        with pytest.raises(ArgumentError, match=f"{name}='{value}' in connect_args.*{fix}"):
            await options(engine)

    asyncio.run(work())


@pytest.mark.parametrize("value", [True, False, 1, object()])
def test_a_value_of_a_wrong_type(value: Any) -> None:
    with pytest.raises(ArgumentError, match="it takes one of auto, begin, off"):
        create_async_engine(NOWHERE, pipeline=value)


# what the connection can do


class Foreign:
    """A driver connection that is not asyncpg's."""

    def get_settings(self) -> Any:
        return object()


def test_another_connection_than_asyncpgs_has_it_off() -> None:
    assert session_options(AsyncAdapt_asyncpg_connection(None, Foreign(), 0))[0] == "off"


def test_a_derived_class_of_asyncpgs_has_it(pgflight_dialect: Dialect) -> None:
    class Derived(asyncpg.Connection):  # type: ignore[misc]
        pass

    async def work() -> None:
        engine = pgflight_dialect.engine(connect_args={"connection_class": Derived})
        assert await options(engine) == (mode("auto"), 0.0)

    asyncio.run(work())


def test_a_missing_name_turns_only_the_pipeline_off() -> None:
    private = capability._choose("auto", ())
    possible, reason = capability._choose_group(private, ("Protocol.close_portal",))
    assert not possible
    assert reason.endswith("lacks Protocol.close_portal")
    assert capability._choose_group(private, ()).possible
    assert capability._choose_group(capability._choose("public", ()), ()) == (
        False,
        "driver level public",
    )


WITHOUT = """
import asyncpg.transaction
del asyncpg.transaction.Transaction._state
from pgflight import driver
print(driver.capabilities().level, driver.can_pipeline(), driver.pipeline_capability().reason)
"""


@pipeline_possible
def test_an_asyncpg_without_a_name() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env={**os.environ, "PGFLIGHT_DRIVER": "auto"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("private False asyncpg")
    assert done.stdout.endswith("lacks Transaction._state\n")


@pipeline_possible
def test_the_mode_follows_the_process(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capability, "_pipeline", capability.Capability(False, "a test"))

    async def work() -> None:
        engine = pgflight_dialect.engine(pipeline="begin")
        assert await options(engine) == ("off", 0.0)

    asyncio.run(work())
