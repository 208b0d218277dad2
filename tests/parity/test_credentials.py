"""Passwords are asked for again when the server refuses them, and shown nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.tasks import run

SECRET = "s3cr3t-w0rd"
OURS = str(Path(pgflight.__file__).parent)


def our_frames(error: BaseException | None) -> list[str]:
    """Return the local variables of our functions in an error's traceback, and in its causes'."""
    found = []
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if frame.f_code.co_filename.startswith(OURS):
                found.append(f"{frame.f_code.co_name}: {frame.f_locals!r}")
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__
    return found


def service_file(directory: Path) -> dict[str, Any]:
    file = directory / "services"
    file.write_text(f"[one]\npassword={SECRET}\n")
    return {"service": "one", "servicefile": str(file)}


FAILING: dict[str, Callable[[Path], dict[str, Any]]] = {
    "wrong": lambda _: {"password": SECRET},
    "nobody there": lambda _: {"password": SECRET, "host": "127.0.0.1", "port": 1},
    "another option is wrong": lambda _: {"password": SECRET, "port": "none"},
    "another option is unknown": lambda _: {"password": SECRET, "pasword": "x"},
    "with a NUL": lambda _: {"password": f"{SECRET}\0"},
    "of a service file": service_file,
    "of a key": lambda _: {
        "sslpassword": SECRET,
        "ssl": "require",
        "sslcert": str(Path(__file__)),
        "sslkey": str(Path(__file__)),
    },
}


@pytest.mark.parametrize("what", FAILING)
def test_a_password_is_shown_nowhere(
    pgflight_dialect: Dialect, what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = pgflight_dialect.url()._replace(password=None if "service" in what else "other")
    arguments = FAILING[what](tmp_path)

    async def work() -> BaseException:
        engine = pgflight_dialect.engine(url, connect_args=arguments, echo_pool="debug")
        try:
            await engine.connect()
        except Exception as error:
            return error
        raise AssertionError("connected")

    with caplog.at_level(logging.DEBUG):
        error = run(work())
    frames = our_frames(error)
    assert frames
    assert [frame for frame in frames if SECRET in frame] == []
    assert SECRET not in f"{error!r} {error} {error.__cause__} {error.__context__} {caplog.text}"


@pytest.mark.parametrize("kind", ["function", "coroutine function"])
def test_a_refused_token_is_asked_for_once_more(pgflight_dialect: Dialect, kind: str) -> None:
    right = str(pgflight_dialect.url().password)
    tokens = [SECRET, right, SECRET, SECRET, right]

    def token() -> str:
        return tokens.pop(0)

    async def token_later() -> str:
        return token()

    given = {"password": token if kind == "function" else token_later}

    async def work() -> None:
        engine = pgflight_dialect.engine(connect_args=given)
        async with engine.connect() as connection:
            assert await connection.scalar(sa.select(1)) == 1
        assert len(tokens) == 3
        await engine.dispose()
        with pytest.raises(Exception, match="password authentication failed"):
            await engine.connect()
        assert len(tokens) == 1
        async with engine.connect() as connection:
            assert await connection.scalar(sa.select(1)) == 1

    run(work())


def test_a_wrong_password_is_sent_once(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        tried: list[Any] = []

        async def connect(*args: Any, **arguments: Any) -> Any:
            tried.append(arguments["password"])
            return await asyncpg.connect(*args, **arguments)

        engine = pgflight_dialect.engine(
            connect_args={"password": SECRET, "async_creator_fn": connect}
        )
        with pytest.raises(Exception, match="password authentication failed"):
            await engine.connect()
        assert tried == [SECRET] and type(tried[0]) is str

    run(work())


NUL: dict[str, Any] = {
    "user": "scott\0database\0postgres",
    "database": "test\0",
    "application_name": "mine\0options\0-c log_statement=all",
    "options": "-c search_path=a\0b",
    "server_settings": {"search_path": "a\0b"},
    "host": "local\0host",
    "password": "tiger\0",
}


@pytest.mark.parametrize("name", NUL)
def test_a_nul_is_refused_before_anything_is_sent(pgflight_dialect: Dialect, name: str) -> None:
    async def work() -> None:
        async def never(*args: Any, **arguments: Any) -> Any:
            raise AssertionError(arguments)

        engine = pgflight_dialect.engine(connect_args={name: NUL[name], "async_creator_fn": never})
        with pytest.raises(sa.exc.ArgumentError, match=f"^{name}=.*NUL"):
            await engine.connect()

    run(work())
