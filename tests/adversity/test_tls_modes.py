"""sslmode against real TLS servers: what is verified, what is refused, what falls back.

Each test runs through the TLS of PostgreSQL itself, where the installed one has it (`native`),
and through our front before a PostgreSQL without TLS (`front`).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pgflight.cli.server.cluster import TempCluster
from tests.adversity.tls_server import (
    Endpoint,
    binaries,
    front_endpoint,
    native_endpoint,
    plain_cluster,
    speaks_tls,
)
from tests.unit.tls_material import KEY_PASSWORD, Material, isolate, make_material

KINDS = ("front", "native") if speaks_tls(binaries()) else ("front",)
VERIFIED = ("verify-ca", "verify-full")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[TempCluster]:
    with plain_cluster() as running:
        yield running


@pytest.fixture(scope="module", params=KINDS)
def endpoint(
    request: pytest.FixtureRequest, cluster: TempCluster, material: Material
) -> Iterator[Endpoint]:
    if request.param == "native":
        with native_endpoint(material) as made:
            yield made
    else:
        with front_endpoint(cluster, material, tls=True) as made:
            yield made


@pytest.fixture(scope="module", params=["front", "server"])
def without_tls(
    request: pytest.FixtureRequest, cluster: TempCluster, material: Material
) -> Iterator[Endpoint]:
    """A server that refuses TLS: PostgreSQL itself, and our front."""
    if request.param == "server":
        yield Endpoint(cluster, material)
    else:
        with front_endpoint(cluster, material, tls=False) as made:
            yield made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate(monkeypatch, tmp_path)
    return tmp_path


@pytest.mark.parametrize("mode", VERIFIED)
def test_the_right_server(endpoint: Endpoint, mode: str) -> None:
    assert endpoint.tls_version(sslmode=mode, sslrootcert=endpoint.material.roots)
    assert endpoint.tls_version(ssl=mode, sslrootcert=endpoint.material.roots)


def test_roots_of_the_user_s_home(endpoint: Endpoint, home: Path) -> None:
    roots = home / ".postgresql" / "root.crt"
    roots.write_bytes(Path(endpoint.material.roots).read_bytes())
    assert endpoint.tls_version(sslmode="verify-full")
    roots.write_bytes(Path(endpoint.material.other_roots).read_bytes())
    for mode in ("require", *VERIFIED):
        with pytest.raises(ssl.SSLCertVerificationError):
            endpoint.tls_version(sslmode=mode)


def test_another_name(endpoint: Endpoint) -> None:
    options = {"host": "127.0.0.1", "sslrootcert": endpoint.material.roots}
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"):
        endpoint.tls_version(sslmode="verify-full", **options)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"):
        endpoint.tls_version(ssl=True, **options)
    assert endpoint.tls_version(sslmode="verify-ca", **options)
    assert endpoint.tls_version(sslmode="require", **options)


@pytest.mark.parametrize(
    "options",
    [{"sslmode": "verify-ca"}, {"sslmode": "verify-full"}, {"sslmode": "require"}, {"ssl": True}],
    ids=str,
)
def test_an_unknown_authority(endpoint: Endpoint, options: dict[str, Any]) -> None:
    """`require` with a root is libpq's old name for `verify-ca`."""
    with pytest.raises(ssl.SSLCertVerificationError):
        endpoint.tls_version(sslrootcert=endpoint.material.other_roots, **options)


@pytest.mark.parametrize("options", [{"sslrootcert": "system"}, {"ssl": True}], ids=str)
def test_the_system_s_authorities_do_not_know_ours(
    endpoint: Endpoint, options: dict[str, Any]
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        endpoint.tls_version(**options)


def test_require_without_roots_verifies_nothing(endpoint: Endpoint) -> None:
    assert endpoint.tls_version(sslmode="require")
    assert endpoint.tls_version(host="127.0.0.1", ssl="require")


def test_disable_against_a_server_that_insists(endpoint: Endpoint) -> None:
    assert endpoint.tls_version(sslmode="disable") is None
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match=r"pg_hba\.conf"):
        endpoint.tls_version("tls_only", sslmode="disable")
    assert endpoint.tls_version("tls_only", sslmode="require")


def test_allow_and_prefer_try_both(endpoint: Endpoint) -> None:
    assert endpoint.tls_version(sslmode="prefer")
    assert endpoint.tls_version("plain_only", sslmode="prefer") is None
    assert endpoint.tls_version(sslmode="allow") is None
    assert endpoint.tls_version("tls_only", sslmode="allow")


@pytest.mark.parametrize("mode", ["require", *VERIFIED])
def test_nothing_stronger_tries_both(endpoint: Endpoint, mode: str) -> None:
    roots = {} if mode == "require" else {"sslrootcert": endpoint.material.roots}
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="plain_only"):
        endpoint.tls_version("plain_only", sslmode=mode, **roots)


def test_a_server_without_tls(without_tls: Endpoint) -> None:
    assert without_tls.tls_version() is None
    for mode in ("disable", "allow", "prefer"):
        assert without_tls.tls_version(sslmode=mode) is None
    roots = {"sslrootcert": without_tls.material.roots}
    demands: list[dict[str, Any]] = [
        {"sslmode": "require"},
        {"ssl": True},
        {"sslrootcert": "system"},
        *({"sslmode": mode, **roots} for mode in ("require", *VERIFIED)),
    ]
    for options in demands:
        with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
            without_tls.tls_version(**options)


def test_client_certificate(endpoint: Endpoint) -> None:
    files = {"sslcert": endpoint.material.client_cert, "sslkey": endpoint.material.client_key}
    for mode in ("allow", "prefer", "require"):
        assert endpoint.tls_version("certified", sslmode=mode, **files)
    assert endpoint.tls_version(
        "certified", sslmode="verify-full", sslrootcert=endpoint.material.roots, **files
    )
    with pytest.raises(
        asyncpg.InvalidAuthorizationSpecificationError, match="valid client certificate"
    ):
        endpoint.tls_version("certified", sslmode="require")


@pytest.mark.parametrize("mode", ["prefer", "require"])
def test_client_certificate_with_a_locked_key(endpoint: Endpoint, mode: str) -> None:
    files = {"sslcert": endpoint.material.client_cert, "sslkey": endpoint.material.locked_key}
    assert endpoint.tls_version("certified", sslmode=mode, sslpassword=KEY_PASSWORD, **files)


def test_revoked_certificate(endpoint: Endpoint, home: Path) -> None:
    material = endpoint.material
    options = {"sslmode": "verify-full", "sslrootcert": material.roots}
    assert endpoint.tls_version(sslcrl=material.crl, **options)
    endpoint.present("revoked")
    try:
        assert endpoint.tls_version(**options)
        assert endpoint.tls_version(sslcrl=material.empty_crl, **options)
        with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
            endpoint.tls_version(sslcrl=material.crl, **options)
        (home / ".postgresql" / "root.crl").write_bytes(Path(material.crl).read_bytes())
        with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
            endpoint.tls_version(**options)
    finally:
        endpoint.present("server")


def test_a_directory_without_the_needed_list(endpoint: Endpoint, tmp_path: Path) -> None:
    options = {"sslmode": "verify-ca", "sslrootcert": endpoint.material.roots}
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get certificate CRL"):
        endpoint.tls_version(sslcrldir=tmp_path, **options)


@pytest.mark.parametrize("mode", ["prefer", "require"])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_versions_of_tls(endpoint: Endpoint, version: str, mode: str) -> None:
    limits = {"ssl_min_protocol_version": version, "ssl_max_protocol_version": version}
    assert endpoint.tls_version(sslmode=mode, **limits) == version


def test_a_unix_socket_has_no_tls(cluster: TempCluster, material: Material) -> None:
    on_socket = Endpoint(cluster, material)
    for options in ({"sslmode": "verify-full"}, {"ssl": True}, {"sslrootcert": "/missing.pem"}):
        assert on_socket.tls_version(host=str(cluster.socket_dir), **options) is None
