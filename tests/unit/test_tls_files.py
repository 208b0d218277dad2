"""Certificates, keys and revocation lists: what is loaded and what is refused, and when."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from pgflight.options.url import connect_arguments, prepare_connect_kwargs
from tests.unit.tls_material import KEY_PASSWORD, Material, isolate, make_material


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate(monkeypatch, tmp_path)
    return tmp_path


def when_the_engine_is_made(**query: str) -> dict[str, Any]:
    return connect_arguments(URL.create("postgresql+asyncpg", host="h", query=query))


def when_connecting(**query: Any) -> dict[str, Any]:
    return prepare_connect_kwargs({"host": "h", **query}).kwargs


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("sslrootcert", "/missing.pem", "cannot be read: No such file"),
        ("sslrootcert", "garbage", "cannot be read"),
        ("sslrootcert", "crl", "holds no certificate"),
        ("sslcrl", "/missing.pem", "cannot be read: No such file"),
        ("sslcrl", "garbage", "cannot be read"),
        ("sslcrl", "roots", "holds no revocation list"),
        ("sslcrldir", "/missing", "cannot be read: No such file"),
        ("sslcert", "/missing.pem", "cannot be read: No such file"),
        ("sslkey", "/missing.pem", "cannot be read: No such file"),
        ("sslkey", "/", "is not a regular file"),
    ],
)
def test_bad_files_show_when_the_engine_is_made(
    name: str, file: str, message: str, material: Material
) -> None:
    path = file if file.startswith("/") else getattr(material, file)
    with pytest.raises(ArgumentError) as caught:
        when_the_engine_is_made(sslmode="verify-full", **{name: path})
    assert f"{name}={path!r}" in str(caught.value) and message in str(caught.value)
    with pytest.raises(ArgumentError, match=r"verify-full|cannot|holds|plain|no use"):
        when_connecting(sslmode="verify-full", **{name: path})


def test_what_is_missing_may_still_come_with_connect_args(material: Material) -> None:
    given = when_the_engine_is_made(sslmode="verify-full")
    made = when_connecting(**given, sslrootcert=Path(material.roots))["ssl"]
    assert made.check_hostname


@pytest.mark.parametrize(("mode", "owner_root"), [(0o644, True), (0o640, False), (0o660, True)])
def test_a_key_that_others_may_use_is_refused(
    mode: int,
    owner_root: bool,
    material: Material,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = tmp_path / "client.key"
    key.write_bytes(Path(material.client_key).read_bytes())
    key.chmod(mode)
    _owned_by_root(monkeypatch, owner_root)
    with pytest.raises(ArgumentError, match=rf"\(mode 0{mode:o}\); run chmod 0600"):
        when_the_engine_is_made(sslcert=material.client_cert, sslkey=str(key))
    with pytest.raises(ArgumentError, match="can be used by others"):
        when_connecting(sslmode="require", sslcert=material.client_cert, sslkey=str(key))
    with pytest.raises(ArgumentError, match="can be used by others"):
        when_connecting(sslmode="prefer", sslcert=material.client_cert, sslkey=str(key))


@pytest.mark.parametrize(("mode", "owner_root"), [(0o600, False), (0o400, False), (0o640, True)])
def test_a_private_key_is_taken(
    mode: int,
    owner_root: bool,
    material: Material,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = tmp_path / "client.key"
    key.write_bytes(Path(material.client_key).read_bytes())
    key.chmod(mode)
    _owned_by_root(monkeypatch, owner_root)
    given = when_the_engine_is_made(
        sslmode="require", sslcert=material.client_cert, sslkey=str(key)
    )
    assert isinstance(when_connecting(**given)["ssl"], ssl.SSLContext)


def _owned_by_root(monkeypatch: pytest.MonkeyPatch, owner_root: bool) -> None:
    real = os.stat

    def stat(path: Any, **kwargs: Any) -> os.stat_result:
        found = list(real(path, **kwargs))
        if str(path).endswith("client.key"):
            found[4] = 0 if owner_root else 1000
        return os.stat_result(found)

    monkeypatch.setattr("pgflight.options.tls_files.os.stat", stat)


def test_an_encrypted_key(material: Material) -> None:
    locked = {"sslmode": "require", "sslcert": material.client_cert, "sslkey": material.locked_key}
    when_the_engine_is_made(**locked)  # its password may come with connect_args
    assert isinstance(when_connecting(**locked, sslpassword=KEY_PASSWORD)["ssl"], ssl.SSLContext)
    with pytest.raises(ArgumentError, match="does the key need sslpassword"):
        when_connecting(**locked)
    with pytest.raises(ArgumentError, match="the password does not open the key") as caught:
        when_connecting(**locked, sslpassword="swordfish")
    assert "swordfish" not in str(caught.value)


def test_a_key_that_belongs_to_another_certificate(material: Material) -> None:
    with pytest.raises(ArgumentError, match="check that they belong together"):
        when_connecting(sslmode="require", sslcert=material.client_cert, sslkey=material.server_key)


def test_a_key_without_a_certificate(material: Material) -> None:
    with pytest.raises(ArgumentError, match=r"sslkey=.* is of no use without sslcert"):
        when_connecting(sslmode="require", sslkey=material.client_key)


def test_usual_places_of_the_client_s_files(
    material: Material, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[Any, ...]] = []

    class Watched(ssl.SSLContext):
        def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
            loaded.append((certfile, keyfile))
            super().load_cert_chain(certfile, keyfile, password)

    monkeypatch.setattr("pgflight.options.tls.SSLContext", Watched)
    when_connecting(sslmode="require")
    assert loaded == []
    both = home / "both.pem"
    both.write_bytes(
        Path(material.client_cert).read_bytes() + Path(material.client_key).read_bytes()
    )
    when_connecting(sslmode="require", sslcert=str(both))
    monkeypatch.setenv("PGSSLCERT", material.client_cert)
    monkeypatch.setenv("PGSSLKEY", material.client_key)
    when_connecting(sslmode="require")
    monkeypatch.delenv("PGSSLCERT")
    monkeypatch.delenv("PGSSLKEY")
    folder = home / ".postgresql"
    (folder / "postgresql.crt").write_bytes(Path(material.client_cert).read_bytes())
    (folder / "postgresql.key").touch(0o600)
    (folder / "postgresql.key").write_bytes(Path(material.client_key).read_bytes())
    when_connecting(sslmode="require")
    assert loaded == [
        (str(both), None),
        (material.client_cert, material.client_key),
        (str(folder / "postgresql.crt"), str(folder / "postgresql.key")),
    ]


def test_client_files_under_prefer_travel_in_a_dsn(material: Material) -> None:
    kwargs = when_connecting(
        sslmode="prefer",
        sslcert=material.client_cert,
        sslkey=material.locked_key,
        sslpassword="a&b=c d",
        ssl_max_protocol_version="TLSv1.3",
    )
    assert kwargs["ssl"] == "prefer"
    assert kwargs["dsn"].startswith("postgresql://?sslcert=")
    assert "sslpassword=a%26b%3Dc+d&ssl_max_protocol_version=TLSv1.3" in kwargs["dsn"]


def test_versions(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.3"}
    made = when_connecting(sslmode="require", **limits)["ssl"]
    assert made.minimum_version is made.maximum_version is ssl.TLSVersion.TLSv1_3
    with pytest.raises(ArgumentError, match="no TLS version lies between"):
        when_the_engine_is_made(
            ssl_min_protocol_version="TLSv1.3", ssl_max_protocol_version="TLSv1.2"
        )
    with pytest.raises(ArgumentError, match=r"min_protocol_version=TLSv1.2 and .*=TLSv1.1"):
        when_the_engine_is_made(ssl_max_protocol_version="TLSv1.1")
    monkeypatch.setenv("PGSSLMINPROTOCOLVERSION", "TLSv1.3")
    assert when_connecting(sslmode="require")["ssl"].minimum_version is ssl.TLSVersion.TLSv1_3
    monkeypatch.setenv("PGSSLMAXPROTOCOLVERSION", "TLSv2")
    with pytest.raises(ArgumentError, match="'TLSv2' is not a TLS version; use one of TLSv1, "):
        when_connecting(sslmode="require")


def test_revocation_lists(material: Material, tmp_path: Path) -> None:
    for option in ({"sslcrl": material.crl}, {"sslcrldir": str(tmp_path)}):
        made = when_connecting(sslmode="verify-ca", sslrootcert=material.roots, **option)["ssl"]
        assert made.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN
        with pytest.raises(ArgumentError, match="is of no use without roots; add sslrootcert"):
            when_connecting(sslmode="require", **option)


def test_keys_are_logged_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    assert when_connecting(sslmode="require")["ssl"].keylog_filename == str(tmp_path / "keys.log")
