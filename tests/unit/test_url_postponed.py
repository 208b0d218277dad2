"""What is wrong in a URL warns when the engine is made, and is an error when it connects."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import warnings
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from pgflight import PgflightWarning
from pgflight.options.url import engine_arguments, is_refused, prepare_connect_kwargs
from tests.fixtures.server import Server

START = "postgresql+pgflight://u@nowhere.invalid/db"
WRONG = [
    ("statment_cache_size=5", "Unknown option 'statment_cache_size' in the URL: did you mean"),
    ("unheard=1&unheard=2", "Unknown option 'unheard' in the URL: "),
    ("pool_size=5", "Unknown option 'pool_size' in the URL: it belongs to create_engine"),
    ("pipeline=on", "pipeline='on' in the URL is not valid"),
    ("in_array_threshold=many", "in_array_threshold='many' in the URL is not valid"),
    ("timeout=soon", "timeout='soon' in the URL is not valid"),
    ("timeout=1&timeout=2", "'timeout' is in the URL 2 times; keep one"),
    ("record_class=x", "'record_class' in the URL cannot be text"),
    ("dbname=a&database=b", "are both in the URL, with different values"),
    ("sslmode=verify-full&sslrootcert=/missing.pem", "cannot be read"),
    ("service=nowhere&servicefile=/missing", "service"),
]
REFUSED = ["prepared_statement_cache_size=many", "port=x", "host=a&host=b:2&host=c:3"]
"""Those that the built-in dialect makes no engine with, either."""


@pytest.mark.parametrize(("query", "message"), WRONG)
def test_a_warning_first_and_an_error_later(query: str, message: str) -> None:
    with pytest.warns(PgflightWarning, match=message) as caught:
        engine = create_async_engine(f"{START}?{query}")
    assert [each.filename for each in caught] == [__file__]
    shown = str(caught[0].message)

    async def connect() -> None:
        await engine.connect()

    for _ in range(2):
        with pytest.raises(ArgumentError, match=message) as raised:
            asyncio.run(connect())
        assert shown == f"this engine cannot connect: {raised.value}"


@pytest.mark.parametrize("query", REFUSED)
def test_what_the_built_in_dialect_refuses_is_refused_at_once(query: str) -> None:
    for driver in ("pgflight", "asyncpg"):
        with pytest.raises((ArgumentError, ValueError)):
            create_async_engine(f"postgresql+{driver}://u@/db?{query}")


def test_all_that_is_wrong_is_warned_of() -> None:
    with pytest.warns(PgflightWarning) as caught:
        found = engine_arguments(make_url(f"{START}?unheard=1&pipeline=on&timeout=5"))
    assert len(caught) == 2
    assert sorted(name for name, value in found.items() if is_refused(value)) == [
        "pipeline",
        "unheard",
    ]
    assert found["unheard"] == "1"
    assert found["timeout"] == 5


def test_a_handler_may_take_an_option_of_its_own() -> None:
    with pytest.warns(PgflightWarning):
        found = engine_arguments(make_url(f"{START}?region=eu&region_pair=a&region_pair=b"))
    assert found.pop("region") == "eu"
    assert found.pop("region_pair") == ("a", "b")
    prepare_connect_kwargs(found)


def test_connect_args_may_replace_what_is_wrong() -> None:
    with pytest.warns(PgflightWarning):
        found = engine_arguments(make_url(f"{START}?pipeline=on"))
    assert prepare_connect_kwargs({**found, "pipeline": "off"}).kwargs["pipeline"] == "off"


def test_a_program_s_function_gets_what_only_it_knows() -> None:
    got: dict[str, Any] = {}

    async def connect(**arguments: Any) -> Any:
        got.update(arguments)
        raise OSError("not today")

    with pytest.warns(PgflightWarning):
        engine = create_async_engine(
            f"{START}?region=eu", connect_args={"async_creator_fn": connect}
        )

    async def work() -> None:
        await engine.connect()

    with pytest.raises(OSError, match="not today"):
        asyncio.run(work())
    assert got["region"] == "eu"


FALLBACK = """
import warnings
warnings.simplefilter("error")
import pgflight, sqlalchemy
engine = sqlalchemy.create_engine({url!r})
with engine.connect() as connection:
    print(connection.scalar(sqlalchemy.text("SELECT 1")))
engine.dispose()
"""


def test_async_fallback_brings_no_warning_of_sqlalchemy_s(server: Server) -> None:
    url = server.text("postgresql+pgflight")
    url += ("&" if "?" in url else "?") + "async_fallback=true"
    done = subprocess.run(
        [sys.executable, "-c", FALLBACK.format(url=url)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "1\n", done.stderr


def test_an_async_engine_with_it(server: Server) -> None:
    async def work() -> Any:
        url = make_url(server.text("postgresql+pgflight"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine = create_async_engine(url.update_query_dict({"async_fallback": "true"}))
            async with engine.connect() as connection:
                found = await connection.scalar(text("SELECT 1"))
            await engine.dispose()
        return found

    assert asyncio.run(work()) == 1
