"""The same URL through libpq and through us: encrypted, plain or refused, we must agree.

libpq is the one in psycopg's wheel.  The one difference is wanted: where libpq connects without
looking at the roots that it was given, we refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from pgflight.options.url import connect_arguments, prepare_connect_kwargs
from tests.adversity.tls_server import (
    Endpoint,
    binaries,
    front_endpoint,
    native_endpoint,
    plain_cluster,
    settled,
    speaks_tls,
)
from tests.unit.tls_material import KEY_PASSWORD, Material, isolate, make_material

KINDS = ("front", "native", "off") if speaks_tls(binaries()) else ("front", "off")
MODES = (None, "disable", "allow", "prefer", "require", "verify-ca", "verify-full")
ROLES = ("scott", "tls_only", "plain_only", "certified")
NOT_LOOKED_AT = "not looked at"


def option_sets(material: Material) -> list[dict[str, str]]:
    """Return what is set beside the mode, one dictionary for each case."""
    client = {"sslcert": material.client_cert, "sslkey": material.client_key}
    return [
        {},
        {"sslrootcert": material.roots},
        {"sslrootcert": material.other_roots},
        {"sslrootcert": "system"},
        client,
        {
            "sslrootcert": material.roots,
            **client,
            "sslkey": material.locked_key,
            "sslpassword": KEY_PASSWORD,
        },
        {"sslrootcert": material.roots, "sslcrl": material.crl},
        {"ssl_max_protocol_version": "TLSv1.2", "sslnegotiation": "postgres"},
        {"ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.2"},
    ]


@pytest.fixture(scope="module", params=KINDS)
def endpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    material = make_material(tmp_path_factory.mktemp("tls"))
    if request.param == "native":
        with native_endpoint(material) as made:
            yield made
        return
    tls = request.param == "front"
    with plain_cluster() as cluster, front_endpoint(cluster, material, tls=tls) as made:
        yield made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)


def rest_of_url(endpoint: Endpoint, role: str, host: str, query: dict[str, str]) -> str:
    given = endpoint.arguments(role)
    return (
        f"://{role}:{given['password']}@{host}:{given['port']}/{given['database']}"
        f"?{urlencode({**query, 'connect_timeout': '15'}, quote_via=quote)}"
    )


def through_libpq(rest: str) -> str:
    try:
        with psycopg.connect(f"postgresql{rest}") as connection:
            return "encrypted" if connection.pgconn.ssl_in_use else "plain"
    except psycopg.OperationalError:
        return "refused"


def through_us(rest: str) -> str:
    async def visit() -> str:
        arguments: dict[str, Any] = connect_arguments(make_url(f"postgresql+asyncpg{rest}"))
        connection = await asyncpg.connect(**prepare_connect_kwargs(arguments).kwargs)
        try:
            encrypted = connection._transport.get_extra_info("ssl_object") is not None
            return "encrypted" if encrypted else "plain"
        finally:
            await connection.close()

    try:
        return asyncio.run(settled(visit()))
    except ArgumentError as error:
        return NOT_LOOKED_AT if "would be ignored" in str(error) else "refused"
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return "refused"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("role", ROLES)
def test_agreement(endpoint: Endpoint, role: str, mode: str | None) -> None:
    seen = set()
    for host in ("localhost", "127.0.0.1"):
        for options in option_sets(endpoint.material):
            query = {**options, **({} if mode is None else {"sslmode": mode})}
            rest = rest_of_url(endpoint, role, host, query)
            ours = through_us(rest)
            if ours == NOT_LOOKED_AT:
                assert mode in (None, "allow", "prefer") and "sslrootcert" in options
                continue
            seen.add(ours)
            assert ours == through_libpq(rest), rest
    assert seen
