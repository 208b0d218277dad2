"""Direct TLS, without asking the server first: sslnegotiation=direct.

PostgreSQL speaks it from 17 on; our front does so before any version, and like PostgreSQL
insists on ALPN, which asyncpg sends from 0.32 on only.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.adversity.tls_server import Endpoint, front_endpoint, plain_cluster
from tests.unit.tls_material import isolate, make_material


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    material = make_material(tmp_path_factory.mktemp("tls"))
    with plain_cluster() as cluster, front_endpoint(cluster, material, tls=True) as made:
        yield made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.mark.parametrize("direct", [{"sslnegotiation": "direct"}, {"direct_tls": True}], ids=str)
def test_every_mode_that_encrypts(endpoint: Endpoint, direct: dict[str, Any]) -> None:
    roots = endpoint.material.roots
    assert endpoint.tls_version(sslmode="require", **direct)
    for mode in ("verify-ca", "verify-full"):
        assert endpoint.tls_version(sslmode=mode, sslrootcert=roots, **direct)
    assert endpoint.tls_version(ssl=True, sslrootcert=roots, **direct)


def test_it_verifies(endpoint: Endpoint) -> None:
    roots, others = endpoint.material.roots, endpoint.material.other_roots
    with pytest.raises(ssl.SSLCertVerificationError):
        endpoint.tls_version(direct_tls=True, sslmode="verify-ca", sslrootcert=others)
    with pytest.raises(ssl.SSLCertVerificationError):
        endpoint.tls_version(direct_tls=True, ssl=True)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"):
        endpoint.tls_version(
            host="127.0.0.1", direct_tls=True, sslmode="verify-full", sslrootcert=roots
        )


def test_a_client_certificate(endpoint: Endpoint) -> None:
    files = {"sslcert": endpoint.material.client_cert, "sslkey": endpoint.material.client_key}
    assert endpoint.tls_version("certified", direct_tls=True, sslmode="require", **files)


def test_the_server_is_not_asked_and_hears_alpn(endpoint: Endpoint) -> None:
    async def visit() -> tuple[str | None, str | None]:
        protocols = []
        for negotiation in ("direct", "postgres"):
            connection = await endpoint.connect(sslmode="require", sslnegotiation=negotiation)
            tls = connection._transport.get_extra_info("ssl_object")
            protocols.append(tls.selected_alpn_protocol())
            await connection.close()
        return protocols[0], protocols[1]

    assert asyncio.run(visit()) == ("postgresql", "postgresql")


def test_a_context_without_alpn_is_refused_by_the_server(endpoint: Endpoint) -> None:
    """The front is as strict as PostgreSQL 17, so the tests above prove something."""
    context = ssl.create_default_context(cafile=endpoint.material.roots)
    with pytest.raises((asyncpg.ConnectionDoesNotExistError, ConnectionError)):
        endpoint.tls_version(direct_tls=True, ssl=context)
    context.set_alpn_protocols(["postgresql"])
    assert endpoint.tls_version(direct_tls=True, ssl=context)
