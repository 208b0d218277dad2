"""TLS options in the URL of an engine, from create_async_engine to the socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from pgflight import PgflightWarning
from pgflight.driver import capabilities
from tests.adversity.tls_server import Endpoint, front_endpoint, plain_cluster, settled
from tests.unit.tls_material import isolate, make_material


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    material = make_material(tmp_path_factory.mktemp("tls"))
    with plain_cluster() as cluster, front_endpoint(cluster, material, tls=True) as made:
        yield made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)


def url(endpoint: Endpoint, query: dict[str, str], host: str = "localhost") -> URL:
    given = endpoint.arguments()
    return URL.create(
        "postgresql+pgflight",
        given["user"],
        given["password"],
        host,
        given["port"],
        given["database"],
        query,
    )


def visit(address: URL, **connect_args: Any) -> tuple[str, ssl.SSLObject | None, dict[str, int]]:
    """Connect with an engine; return application_name, the TLS object and socket options."""

    async def work() -> tuple[str, ssl.SSLObject | None, dict[str, int]]:
        engine = create_async_engine(address, connect_args=connect_args)
        try:
            async with engine.connect() as connection:
                name = (await connection.execute(text("SHOW application_name"))).scalar_one()
                raw = await connection.get_raw_connection()
                transport = raw.driver_connection._transport  # type: ignore[union-attr]
                sock = transport.get_extra_info("socket")
                options = {
                    "keepalives": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    "idle": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                    "count": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                    "user_timeout": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                }
                return name, transport.get_extra_info("ssl_object"), options
        finally:
            await engine.dispose()

    return asyncio.run(settled(work()))


def test_a_vendor_s_url(endpoint: Endpoint) -> None:
    query = {
        "sslmode": "verify-full",
        "sslrootcert": endpoint.material.roots,
        "channel_binding": "prefer",
        "gssencmode": "disable",
        "application_name": "web.1",
        "connect_timeout": "10",
        "options": "-c jit=off",
        "target_session_attrs": "read-write",
        "statement_cache_size": "0",
        "prepared_statement_cache_size": "10",
    }
    name, tls, _ = visit(url(endpoint, query))
    assert name == "web.1"
    assert tls is not None and tls.context.check_hostname


def test_keepalives_reach_the_socket_under_tls(endpoint: Endpoint) -> None:
    address = url(
        endpoint,
        {
            "sslmode": "require",
            "keepalives": "1",
            "keepalives_idle": "33",
            "keepalives_count": "4",
            "tcp_user_timeout": "21000",
        },
    )
    if capabilities().level == "public":  # no way to the socket, and no silence about it
        with pytest.raises(ValueError, match=r"keepalives_idle.* cannot be set"):
            visit(address)
        return
    _, tls, options = visit(address)
    assert tls is not None
    assert options == {"keepalives": 1, "idle": 33, "count": 4, "user_timeout": 21000}


def test_no_option_finds_dead_peers(endpoint: Endpoint) -> None:
    """Within a minute, where asyncpg leaves it to the system, which takes hours."""
    _, tls, options = visit(url(endpoint, {}))
    assert tls is not None  # asyncpg's default, prefer
    if capabilities().level == "private":
        assert options["keepalives"] == 1 and 0 < options["user_timeout"] < 60_000
    else:
        assert options["keepalives"] == 0 and options["user_timeout"] == 0


def test_statements_are_closed_under_tls(endpoint: Endpoint) -> None:
    """Close is glued to what goes through the transport that encrypts."""

    async def work() -> int:
        query = {"sslmode": "require", "prepared_statement_cache_size": "1"}
        engine = create_async_engine(url(endpoint, query), isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                for number in range(50):
                    assert await connection.scalar(text(f"SELECT {number}")) == number
                left = text("SELECT count(*) FROM pg_prepared_statements")
                return int((await connection.execute(left)).scalar_one())
        finally:
            await engine.dispose()

    assert asyncio.run(settled(work())) <= 3


def test_verify_full_refuses_another_name(endpoint: Endpoint) -> None:
    query = {"sslmode": "verify-full", "sslrootcert": endpoint.material.roots}
    with pytest.raises(ssl.SSLCertVerificationError):
        visit(url(endpoint, query, host="127.0.0.1"))
    query["sslmode"] = "verify-ca"
    assert visit(url(endpoint, query, host="127.0.0.1"))[1] is not None


def test_connect_args_complete_the_url(endpoint: Endpoint) -> None:
    address = url(endpoint, {"sslmode": "verify-full"})
    assert visit(address, sslrootcert=Path(endpoint.material.roots))[1] is not None
    context = ssl.create_default_context(cafile=endpoint.material.roots)
    assert visit(address, ssl=context)[1] is not None
    context.check_hostname = False
    with pytest.raises(ArgumentError, match="contradict each other"):
        visit(address, ssl=context)


def test_mistakes_show_when_the_engine_is_made(endpoint: Endpoint) -> None:
    for query, message in (
        ({"sslmode": "verify-full", "sslrootcert": "/missing.pem"}, "cannot be read"),
        ({"sslmod": "require"}, "did you mean 'sslmode'"),
        ({"channel_binding": "require"}, "SCRAM-SHA-256-PLUS"),
        ({"sslmode": "required"}, "is not valid"),
    ):
        with pytest.warns(PgflightWarning, match=message):
            create_async_engine(url(endpoint, query))
        with pytest.raises(ArgumentError, match=message), warnings.catch_warnings():
            warnings.simplefilter("ignore", PgflightWarning)
            visit(url(endpoint, query))
