"""ssl* options become asyncpg's ssl and direct_tls: modes, contradictions, defaults."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from pgflight.options.url import connect_arguments, prepare_connect_kwargs
from tests.unit.tls_material import Material, isolate, make_material


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of our own, without any TLS setting around it."""
    isolate(monkeypatch, tmp_path)
    return tmp_path


def tls(query: dict[str, str] | None = None, **connect_args: Any) -> dict[str, Any]:
    """Return ssl, direct_tls and dsn for a URL and connect_args."""
    url = URL.create("postgresql+asyncpg", host="h", query=query or {})
    kwargs = prepare_connect_kwargs({**connect_arguments(url), **connect_args}).kwargs
    return {name: kwargs[name] for name in ("ssl", "direct_tls", "dsn") if name in kwargs}


def context(query: dict[str, str], **connect_args: Any) -> ssl.SSLContext:
    found = tls(query, **connect_args)["ssl"]
    assert isinstance(found, ssl.SSLContext)
    return found


def test_nothing_asked_nothing_given() -> None:
    assert tls() == {}


@pytest.mark.parametrize("name", ["ssl", "sslmode"])
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_modes_that_asyncpg_negotiates(name: str, mode: str) -> None:
    assert tls({name: mode}) == {"ssl": mode}


@pytest.mark.parametrize("name", ["ssl", "sslmode"])
def test_modes_that_verify(name: str, material: Material) -> None:
    loose = context({name: "require"})
    assert (loose.verify_mode, loose.check_hostname) == (ssl.CERT_NONE, False)
    chain = context({name: "verify-ca", "sslrootcert": material.roots})
    assert (chain.verify_mode, chain.check_hostname) == (ssl.CERT_REQUIRED, False)
    full = context({name: "verify-full", "sslrootcert": material.roots})
    assert (full.verify_mode, full.check_hostname) == (ssl.CERT_REQUIRED, True)
    # libpq's backward compatibility
    as_verify_ca = context({name: "require", "sslrootcert": material.roots})
    assert (as_verify_ca.verify_mode, as_verify_ca.check_hostname) == (ssl.CERT_REQUIRED, False)
    for made in (chain, full, as_verify_ca):
        assert made.cert_store_stats()["x509_ca"] == 1  # and no root of the system's
        assert made.minimum_version is ssl.TLSVersion.TLSv1_2


def test_true_is_asyncpg_s_true_also_in_a_url() -> None:
    assert tls({"ssl": "true"}) == tls(ssl=True) == {"ssl": True}
    assert tls({"ssl": "false"}) == tls(ssl=False) == {"ssl": "disable"}


def test_true_with_files_still_verifies_everything(material: Material) -> None:
    made = context({"ssl": "true", "sslrootcert": material.roots})
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert made.cert_store_stats()["x509_ca"] == 1
    with_client = context(
        {"sslcert": material.client_cert, "sslkey": material.client_key}, ssl=True
    )
    assert (with_client.verify_mode, with_client.check_hostname) == (ssl.CERT_REQUIRED, True)
    agreed = context({"ssl": "true", "sslmode": "verify-full", "sslcrl": material.crl})
    assert agreed.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN


def test_the_system_s_roots() -> None:
    for query in ({"sslrootcert": "system"}, {"sslrootcert": "system", "sslmode": "verify-full"}):
        made = context(query)
        assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_the_system_s_roots_need_verify_full(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = f"sslrootcert=system proves nothing under sslmode={mode}"
    with pytest.raises(ArgumentError, match=message):
        connect_arguments(
            URL.create(
                "postgresql+asyncpg", host="h", query={"sslmode": mode, "sslrootcert": "system"}
            )
        )
    with pytest.raises(ArgumentError, match=message):
        tls({"sslrootcert": "system"}, ssl=mode)
    monkeypatch.setenv("PGSSLMODE", mode)
    with pytest.raises(ArgumentError, match=message):
        tls({"sslrootcert": "system"})


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_verifying_needs_roots(
    mode: str, material: Material, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArgumentError, match=f"sslmode={mode} has nothing to verify with.*system"):
        tls({"sslmode": mode})
    monkeypatch.setenv("PGSSLROOTCERT", material.roots)
    assert context({"sslmode": mode}).cert_store_stats()["x509_ca"] == 1
    monkeypatch.delenv("PGSSLROOTCERT")
    (home / ".postgresql/root.crt").write_bytes(Path(material.roots).read_bytes())
    assert context({"sslmode": mode}).verify_mode is ssl.CERT_REQUIRED
    assert context({"sslmode": "require"}).verify_mode is ssl.CERT_REQUIRED
    assert context({"sslmode": mode}).verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN == 0
    (home / ".postgresql/root.crl").write_bytes(Path(material.crl).read_bytes())
    assert context({"sslmode": mode}).verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN


def test_the_mode_may_come_from_the_environment(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"sslcert": material.client_cert, "sslkey": material.client_key}
    assert tls(files)["ssl"] == "prefer"
    monkeypatch.setenv("PGSSLMODE", "require")
    assert context(files).verify_mode is ssl.CERT_NONE
    monkeypatch.setenv("PGSSLMODE", "sometimes")
    with pytest.raises(ArgumentError, match="PGSSLMODE='sometimes' is not valid; use one of"):
        tls(files)
    assert tls() == {}  # asyncpg reads it


@pytest.mark.parametrize(
    ("query", "connect_args"),
    [
        ({"ssl": "true", "sslmode": "require"}, {}),
        ({"ssl": "false", "sslmode": "require"}, {}),
        ({"ssl": "prefer", "sslmode": "verify-full"}, {}),
        ({"sslmode": "verify-full"}, {"ssl": False}),
        ({"sslmode": "require"}, {"ssl": "prefer"}),
        ({"sslmode": "require"}, {"ssl": True}),
        ({"sslnegotiation": "direct", "direct_tls": "false", "sslmode": "require"}, {}),
    ],
)
def test_options_must_agree(query: dict[str, str], connect_args: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="leave one out"):
        tls(query, **connect_args)


def test_a_context_of_the_user_s_passes_unless_it_is_weaker(material: Material) -> None:
    strict = ssl.create_default_context(cafile=material.roots)
    for mode in ("allow", "prefer", "require", "verify-ca", "verify-full"):
        assert tls({"sslmode": mode}, ssl=strict) == {"ssl": strict}
    assert tls({"sslnegotiation": "direct"}, ssl=strict) == {"ssl": strict, "direct_tls": True}
    strict.check_hostname = False
    assert tls({"sslmode": "verify-ca"}, ssl=strict) == {"ssl": strict}
    with pytest.raises(ArgumentError, match="check_hostname False> contradict"):
        tls({"sslmode": "verify-full"}, ssl=strict)
    strict.verify_mode = ssl.CERT_NONE
    assert tls({"sslmode": "require"}, ssl=strict) == {"ssl": strict}
    with pytest.raises(ArgumentError, match="verify_mode CERT_NONE"):
        tls({"sslmode": "verify-ca"}, ssl=strict)
    with pytest.raises(ArgumentError, match="sslmode=disable and ssl=<SSLContext"):
        tls({"sslmode": "disable"}, ssl=strict)
    with pytest.raises(ArgumentError, match="sslrootcert would be ignored beside ssl=<SSLContext>"):
        tls({"sslrootcert": material.roots}, ssl=strict)


@pytest.mark.parametrize("mode", [None, "allow", "prefer"])
@pytest.mark.parametrize(("name", "file"), [("sslrootcert", "roots"), ("sslcrl", "crl")])
def test_roots_under_a_mode_that_does_not_look_at_them(
    mode: str | None, name: str, file: str, material: Material
) -> None:
    query = {name: getattr(material, file)} | ({} if mode is None else {"sslmode": mode})
    with pytest.raises(ArgumentError, match=f"{name}=.* would be ignored under sslmode="):
        tls(query)


def test_direct_tls(material: Material) -> None:
    for option in ({"direct_tls": "true"}, {"sslnegotiation": "direct"}):
        found = tls({"sslmode": "require", **option})
        assert found["direct_tls"] is True and isinstance(found["ssl"], ssl.SSLContext)
        assert isinstance(tls({"ssl": "true", **option})["ssl"], ssl.SSLContext)
        for mode in ("disable", "allow", "prefer"):
            with pytest.raises(ArgumentError, match=f"direct TLS needs .* not {mode}"):
                tls({"sslmode": mode, **option})
        with pytest.raises(ArgumentError, match="direct TLS needs"):
            tls(option)
    assert tls({"sslmode": "require", "sslnegotiation": "postgres"})["direct_tls"] is False


def test_tls_has_no_place_on_a_unix_socket(material: Material) -> None:
    query = {"sslmode": "verify-full", "sslrootcert": material.roots, "direct_tls": "1"}
    assert tls(query, host="/var/run/postgresql") == {"ssl": False}
    assert "direct_tls" in tls(query, host=["/var/run/postgresql", "h"])
    on_socket = URL.create(
        "postgresql+asyncpg",
        query={
            "host": "/var/run/postgresql",
            "sslmode": "verify-full",
            "sslrootcert": "/missing.pem",
        },
    )
    assert prepare_connect_kwargs(connect_arguments(on_socket)).kwargs["ssl"] is False


def test_beside_a_dsn_of_the_user_s(material: Material) -> None:
    dsn = "postgresql://h/db?sslmode=verify-full"
    assert tls(dsn=dsn) == {"dsn": dsn}
    assert tls({"sslmode": "require"}, dsn=dsn) == {"dsn": dsn, "ssl": "require"}
    with pytest.raises(ArgumentError, match="sslcert beside dsn would hide"):
        tls({"sslcert": material.client_cert}, dsn=dsn)
