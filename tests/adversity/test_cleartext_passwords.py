"""A server without TLS that asks for the password in clear text gets it only if the URL says so."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from tests.adversity.false_server import (
    CLEARTEXT,
    MD5,
    NO_TLS,
    NOTICE,
    SCRAM,
    WELCOME,
    false_server,
)
from tests.adversity.tls_server import plain_cluster
from tests.fixtures.engines import Dialect
from tests.unit.tls_material import make_material

SECRET = "s3cr3t-w0rd"
REFUSED = "asked for the password in clear text"


def _uvloop(work: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


LOOPS: dict[str, Callable[[Coroutine[Any, Any, Any]], Any]] = {
    "asyncio": asyncio.run,
    "uvloop": _uvloop,
}
IN_PIECES = [CLEARTEXT[i : i + 1] for i in range(len(CLEARTEXT))]
ASKING: dict[str, Sequence[bytes]] = {
    "at once": [CLEARTEXT],
    "in pieces": IN_PIECES,
    "behind a notice": [NOTICE + CLEARTEXT],
    "behind another request": [SCRAM + CLEARTEXT],
    "after the login": [WELCOME[:9] + CLEARTEXT],
}
FALLEN_BACK = ["", "sslmode=prefer", "sslmode=allow", "ssl=prefer", "ssl=allow"]
TOLD = ["allow_cleartext_password=true", "sslmode=disable", "ssl=disable", "ssl=false"]


async def attempt(dialect: Dialect, port: int, query: str, **options: Any) -> BaseException:
    engine = dialect.engine(
        f"postgresql+pgflight://u:{SECRET}@127.0.0.1:{port}/d?{query}", **options
    )
    try:
        await asyncio.wait_for(engine.connect(), 10)
    except BaseException as error:
        return error
    raise AssertionError("connected")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("query", FALLEN_BACK)
def test_it_is_not_sent(pgflight_dialect: Dialect, query: str, loop: str) -> None:
    with false_server([CLEARTEXT]) as server:
        error = LOOPS[loop](attempt(pgflight_dialect, server.port, query))
    assert isinstance(error, (sa.exc.OperationalError, asyncpg.PostgresError))
    assert getattr(getattr(error, "orig", error), "sqlstate", None) == "28000"
    assert REFUSED in str(error) and f"127.0.0.1, port {server.port}" in str(error)
    assert "sslmode=require" in str(error) and "allow_cleartext_password=true" in str(error)
    assert server.heard == b"" and server.logins == 1


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("query", ["", "sslmode=allow"])
def test_however_it_is_asked(pgflight_dialect: Dialect, asking: str, query: str, loop: str) -> None:
    with false_server(ASKING[asking]) as server:
        error = LOOPS[loop](attempt(pgflight_dialect, server.port, query))
    assert REFUSED in str(error)
    assert SECRET.encode() not in server.heard


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("query", TOLD)
def test_it_is_sent_if_the_url_says_so(pgflight_dialect: Dialect, query: str, loop: str) -> None:
    with false_server([CLEARTEXT]) as server:
        error = LOOPS[loop](attempt(pgflight_dialect, server.port, f"{query}&connect_timeout=0.5"))
    assert isinstance(error, asyncio.TimeoutError), error
    assert server.heard == b"p" + bytes((0, 0, 0, 5 + len(SECRET))) + SECRET.encode() + b"\0"


def test_the_environment_says_so(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    with false_server([CLEARTEXT]) as server:
        asyncio.run(attempt(pgflight_dialect, server.port, "connect_timeout=0.5"))
    assert SECRET.encode() in server.heard


@pytest.mark.parametrize("request_", [MD5, SCRAM], ids=["md5", "scram"])
def test_other_methods_are_answered(pgflight_dialect: Dialect, request_: bytes) -> None:
    with false_server([request_]) as server:
        asyncio.run(attempt(pgflight_dialect, server.port, "connect_timeout=0.5"))
    assert server.heard[:1] == b"p" and SECRET.encode() not in server.heard


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    material = make_material(tmp_path_factory.mktemp("tls"))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(material.server_cert, material.server_key)
    return made


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("query", ["", "sslmode=prefer", "sslmode=require", "sslmode=allow"])
def test_it_is_sent_by_tls(
    pgflight_dialect: Dialect, query: str, loop: str, context: ssl.SSLContext
) -> None:
    """With sslmode=allow, which begins without TLS, it is what comes after the refusal."""
    with false_server([CLEARTEXT], tls=context) as server:
        error = LOOPS[loop](attempt(pgflight_dialect, server.port, f"{query}&connect_timeout=0.5"))
    assert isinstance(error, asyncio.TimeoutError), error
    assert SECRET.encode() in server.heard_by_tls and server.heard == b""


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_that_turns_tls_down(
    pgflight_dialect: Dialect, loop: str, context: ssl.SSLContext
) -> None:
    """asyncpg then tries without, as sslmode=prefer says."""
    with false_server([CLEARTEXT], tls=context, says_by_tls=[NO_TLS]) as server:
        error = LOOPS[loop](attempt(pgflight_dialect, server.port, ""))
    assert REFUSED in str(error)
    assert server.logins == 2 and server.heard == b""
    # uvloop may end TLS with a record, which is then no message within it
    assert SECRET.encode() not in server.heard_by_tls
    assert server.heard_by_tls[:1] in (b"", b"\x17")


@pytest.mark.parametrize("says", [b"R\0\0\0\4", b"X\0\0\0\1", b"R\0\0\0\7\0\0\0"])
def test_nonsense_ends_the_login(pgflight_dialect: Dialect, says: bytes) -> None:
    with false_server([says]) as server:
        error = asyncio.run(attempt(pgflight_dialect, server.port, ""))
    assert isinstance(error, ConnectionError)
    assert server.heard == b""


def test_a_server_that_asks_so(pgflight_dialect: Dialect) -> None:
    """PostgreSQL with `password` in pg_hba.conf: refused over TCP, served over its socket."""
    with plain_cluster() as cluster:
        url = sa.make_url(cluster.url()).set(drivername="postgresql+pgflight")
        dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        rules = "local all all password\nhost all all 127.0.0.1/32 password\n"

        async def work() -> None:
            admin = await asyncpg.connect(dsn)
            file = await admin.fetchval("SHOW hba_file")
            with open(file, "w") as rewritten:
                rewritten.write(rules)
            await admin.execute("SELECT pg_reload_conf()")
            await admin.close()
            deadline = time.monotonic() + 10
            while True:
                error = None
                engine = pgflight_dialect.engine(url)
                try:
                    async with engine.connect():
                        pass
                except (sa.exc.OperationalError, asyncpg.PostgresError) as caught:
                    error = caught
                if error is not None or time.monotonic() > deadline:
                    break
                await engine.dispose()
                await asyncio.sleep(0.05)
            assert REFUSED in str(error)
            for told in (
                url.update_query_dict({"allow_cleartext_password": "true"}),
                url.update_query_dict({"sslmode": "disable"}),
                url.update_query_dict({"host": str(cluster.socket_dir)}),
            ):
                engine = pgflight_dialect.engine(told)
                async with engine.connect() as connection:
                    assert await connection.scalar(sa.select(1)) == 1
                    raw: Any = (await connection.get_raw_connection()).driver_connection
                    assert raw._loop is asyncio.get_running_loop()
                await engine.dispose()

        asyncio.run(work())
