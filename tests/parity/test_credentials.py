"""Passwords are asked for again when the server refuses them, and shown nowhere."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

import pgflight
from tests.adversity.false_server import false_server
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
    "of a DSN": lambda _: {"dsn": f"postgresql://scott:{SECRET}@127.0.0.1:1/test"},
    "of a key beside prefer": lambda _: {
        "sslpassword": SECRET,
        "sslmode": "prefer",
        "sslcert": str(Path(__file__)),
        "sslkey": str(Path(__file__)),
    },
    "returned by a function": lambda _: {"password": lambda: SECRET},
    "returned as bytes": lambda _: {"password": SECRET.encode},
    "returned with a NUL": lambda _: {"password": lambda: f"{SECRET}\0"},
    "where nobody answers": lambda _: {
        "password": SECRET,
        "host": ["127.0.0.1"] * 2,
        "port": [1, 2],
        "connect_timeout": 1,
    },
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


NUL_IN_URL = {
    "user": "postgresql+pgflight://sc%00ott:tiger@127.0.0.1:1/test",
    "database": "postgresql+pgflight://scott:tiger@127.0.0.1:1/test?database=te%00st",
    "application_name": "postgresql+pgflight://scott@127.0.0.1:1/test?application_name=a%00b%00c",
    "options": "postgresql+pgflight://scott@127.0.0.1:1/test?options=-csearch_path%3Da%00b",
    "server_settings": "postgresql+pgflight://scott@127.0.0.1:1/test"
    "?server_settings=%7B%22a%5Cu0000b%22%3A%22c%22%7D",
    "fallback_application_name": "postgresql+pgflight://h/test?fallback_application_name=a%00b",
    "krbsrvname": "postgresql+pgflight://h/test?krbsrvname=a%00b",
}


@pytest.mark.parametrize("name", NUL_IN_URL)
def test_a_nul_in_a_url_is_refused(pgflight_dialect: Dialect, name: str) -> None:
    async def work() -> None:
        async def never(*args: Any, **arguments: Any) -> Any:
            raise AssertionError(arguments)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # says when the engine is made that it cannot connect
            engine = pgflight_dialect.engine(
                NUL_IN_URL[name], connect_args={"async_creator_fn": never}
            )
        with pytest.raises(sa.exc.ArgumentError, match=f"^{name}=.*NUL"):
            await engine.connect()

    run(work())


@pytest.mark.parametrize("dsn", ["postgresql://h/d?application_name=a%00b", "postgresql://h/\0"])
def test_a_nul_in_a_dsn_is_refused(pgflight_dialect: Dialect, dsn: str) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(connect_args={"dsn": dsn})
        with pytest.raises(sa.exc.ArgumentError, match=r"^dsn='\.\.\.' .*NUL"):
            await engine.connect()

    run(work())


def refused_login(code: str, routine: str, text: str) -> bytes:
    fields = f"SFATAL\0VFATAL\0C{code}\0M{text}\0R{routine}\0\0".encode()
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


REFUSALS = {
    "wrong": ("28P01", "auth_failed", "password authentication failed", 2),
    "PAM, which checks Amazon's tokens": ("28000", "auth_failed", "PAM authentication failed", 2),
    "Azure's": ("28000", "elsewhere", "The access token has expired", 2),
    "no line in pg_hba.conf": ("28000", "ClientAuthentication", "no pg_hba.conf entry", 1),
    "no such role": ("28000", "InitializeSessionUserId", "role does not exist", 1),
    "no such database": ("3D000", "InitPostgres", "database does not exist", 1),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_when_a_function_is_asked_once_more(pgflight_dialect: Dialect, kind: str) -> None:
    code, routine, text, times = REFUSALS[kind]
    asked = []

    def token() -> str:
        asked.append(1)
        return SECRET

    async def work() -> None:
        engine = pgflight_dialect.engine(
            pgflight_dialect.url(host=server.host, port=server.port, query={"sslmode": "disable"}),
            connect_args={"password": token},
        )
        # SQLAlchemy 2.0 lets asyncpg's errors pass
        with pytest.raises((sa.exc.DBAPIError, asyncpg.PostgresError), match=text):
            await engine.connect()

    with false_server([refused_login(code, routine, text)]) as server:
        run(work())
    assert len(asked) == server.logins == times


class NoToken(Exception):
    pass


FAILURES = [NoToken("no token today"), OSError("no token today"), asyncio.TimeoutError()]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("kind", ["function", "coroutine function"])
def test_what_a_function_raises_is_raised(
    pgflight_dialect: Dialect, kind: str, failure: Exception
) -> None:
    def token() -> str:
        raise failure

    async def token_later() -> str:
        raise failure

    async def work() -> None:
        given = token if kind == "function" else token_later
        engine = pgflight_dialect.engine(connect_args={"password": given})
        with pytest.raises(type(failure)) as caught:
            await engine.connect()
        assert caught.value is failure

    run(work())


@pytest.mark.parametrize("returned", [b"tiger", 1, "ti\0ger"])
def test_what_a_function_returns_is_looked_at(pgflight_dialect: Dialect, returned: Any) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(connect_args={"password": lambda: returned})
        with pytest.raises(sa.exc.ArgumentError, match="the function given as password returned"):
            await engine.connect()

    run(work())


def test_a_function_is_asked_for_each_connection(pgflight_dialect: Dialect) -> None:
    asked = []

    async def token() -> str:
        asked.append(1)
        return str(pgflight_dialect.url().password)

    async def work() -> None:
        engine = pgflight_dialect.engine(connect_args={"password": token})
        async with engine.connect(), engine.connect():
            assert len(asked) == 2
        async with engine.connect():
            assert len(asked) == 2

    run(work())


def test_an_engine_that_is_not_made_shows_no_password(pgflight_dialect: Dialect) -> None:
    for url in (
        f"postgresql+pgflight://u:{SECRET}@h/d?port=none",
        f"postgresql+pgflight://u@h/d?password={SECRET}&port=none",
    ):
        with pytest.raises(sa.exc.ArgumentError) as caught:
            pgflight_dialect.engine(url)
        assert [frame for frame in our_frames(caught.value) if SECRET in frame] == []


def test_half_of_a_password_is_not_taken_for_a_host(pgflight_dialect: Dialect) -> None:
    """As it is where an @ in a password is not escaped."""

    async def work() -> None:
        with false_server() as server:
            url = pgflight_dialect.url(host=f"{SECRET}@{server.host}", port=server.port)
            engine = pgflight_dialect.engine(url, connect_args={"timeout": 0.3})
            with pytest.raises((OSError, asyncio.TimeoutError)) as caught:
                await engine.connect()
        assert SECRET not in str(caught.value)

    run(work())
