"""PostgreSQL servers with and without TLS, made for the tests in this directory."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from pgflight.cli.server.cluster import TempCluster, embedded_binaries, find_binaries
from pgflight.options.url import prepare_connect_kwargs
from tests.adversity.tls_front import TLSFront
from tests.unit.tls_material import Material

_T = TypeVar("_T")

ROLES = ("tls_only", "plain_only", "certified")
RULES = """
local     all certified              trust
local     all all                    scram-sha-256
hostssl   all tls_only  127.0.0.1/32 scram-sha-256
hostssl   all certified 127.0.0.1/32 cert
hostnossl all plain_only 127.0.0.1/32 scram-sha-256
host      all scott     127.0.0.1/32 scram-sha-256
"""
_SETTINGS = {"fsync": "off", "autovacuum": "off"}
_PASSWORD = "tiger"
_SECONDS = 20


@dataclass
class Endpoint:
    """A server to connect to; `front` is set where TLS is spoken by our front."""

    cluster: TempCluster
    material: Material
    front: TLSFront | None = None

    def present(self, name: str) -> None:
        """Show the certificate `name` (server, revoked) from now on."""
        if self.front is not None:
            self.front.present(name)
        else:
            asyncio.run(_turn_tls_on(self, name))

    def arguments(self, role: str = "scott", **options: Any) -> dict[str, Any]:
        """Return what connect_args and the URL together would be."""
        defaults = {
            "host": "localhost",
            "port": self.front.port if self.front else self.cluster.port,
            "user": role,
            "password": _PASSWORD,
            "database": self.cluster.database,
            "timeout": 15,
        }
        return {**defaults, **options}

    async def connect(self, role: str = "scott", **options: Any) -> asyncpg.Connection:
        """Connect through our options and asyncpg alone."""
        prepared = prepare_connect_kwargs(self.arguments(role, **options))
        return await asyncpg.connect(**prepared.kwargs)

    def tls_version(self, role: str = "scott", **options: Any) -> str | None:
        """Connect, do some work and return the TLS version of the connection, None for plain."""

        async def visit() -> str | None:
            connection = await self.connect(role, **options)
            try:
                assert await connection.fetchval("SELECT current_user") == role
                tls = connection._transport.get_extra_info("ssl_object")
                version: str | None = tls.version() if tls else None
                return version
            finally:
                await connection.close()

        return asyncio.run(settled(visit()))


async def settled(work: Coroutine[Any, Any, _T]) -> _T:
    """Await `work` and then the end of its sockets.

    A connection that fails is closed by asyncpg without waiting; ending the loop at that moment
    leaves its socket to the garbage collector, which warns.
    """
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    before = len(selector.get_map())
    try:
        return await work
    finally:
        deadline = time.monotonic() + _SECONDS
        while len(selector.get_map()) > before and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        for _ in range(3):  # what asyncio scheduled when the last one left the selector
            await asyncio.sleep(0)


def binaries() -> Path:
    """Return the PostgreSQL of the test run."""
    local = None if os.environ.get("PGFLIGHT_TEST_SERVER") == "embedded" else find_binaries()
    return local or embedded_binaries()


def speaks_tls(bindir: Path) -> bool:
    """Tell whether this PostgreSQL was built with TLS."""
    described = subprocess.run(
        [bindir / "postgres", "--describe-config"], capture_output=True, text=True, check=True
    ).stdout
    lines = [line.split("\t") for line in described.splitlines()]
    return any(line[0] == "ssl_ciphers" and "none" not in line for line in lines)


@contextmanager
def plain_cluster() -> Iterator[TempCluster]:
    """A server without TLS, with the roles of `ROLES`."""
    with TempCluster(binaries(), settings=_SETTINGS) as cluster:
        asyncio.run(
            _make_roles(
                cluster,
                "".join(line for line in RULES.splitlines(keepends=True) if "hostssl" not in line),
            )
        )
        yield cluster


@contextmanager
def native_endpoint(material: Material) -> Iterator[Endpoint]:
    """A server that speaks TLS itself."""
    with TempCluster(binaries(), settings=_SETTINGS) as cluster:
        endpoint = Endpoint(cluster, material)
        asyncio.run(_make_roles(cluster, RULES))
        endpoint.present("server")
        yield endpoint


@contextmanager
def front_endpoint(cluster: TempCluster, material: Material, *, tls: bool) -> Iterator[Endpoint]:
    """A front before `cluster`, that speaks TLS or refuses it."""
    socket = cluster.socket_dir / f".s.PGSQL.{cluster.port}"
    front = TLSFront(socket, material if tls else None)
    try:
        yield Endpoint(cluster, material, front)
    finally:
        front.close()


async def _administrator(cluster: TempCluster) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=str(cluster.socket_dir),
        port=cluster.port,
        user=cluster.user,
        password=cluster.password,
        database=cluster.database,
    )


async def _make_roles(cluster: TempCluster, rules: str) -> None:
    connection = await _administrator(cluster)
    try:
        for role in ROLES:
            await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{_PASSWORD}'")
        Path(await connection.fetchval("SHOW hba_file")).write_text(rules)
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def _turn_tls_on(endpoint: Endpoint, name: str) -> None:
    connection = await _administrator(endpoint.cluster)
    try:
        directory = Path(await connection.fetchval("SHOW data_directory"))
        owner = directory.stat()
        for setting, file in (
            ("ssl_cert_file", f"{name}_cert"),
            ("ssl_key_file", f"{name}_key"),
            ("ssl_ca_file", "roots"),
        ):
            copy = directory / f"{file}.pem"
            shutil.copy(getattr(endpoint.material, file), copy)
            copy.chmod(0o600)
            os.chown(copy, owner.st_uid, owner.st_gid)
            await connection.execute(f"ALTER SYSTEM SET {setting} = '{copy.name}'")
        await connection.execute("ALTER SYSTEM SET ssl = on")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
    await _wait_for_certificate(endpoint, name)


async def _wait_for_certificate(endpoint: Endpoint, name: str) -> None:
    pem = Path(getattr(endpoint.material, f"{name}_cert")).read_text()
    wanted = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 26])
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            connection = await endpoint.connect(sslmode="require")
        except (OSError, asyncpg.PostgresError):
            shown = None
        else:
            tls = connection._transport.get_extra_info("ssl_object")
            shown = tls.getpeercert(binary_form=True)
            await connection.close()
        if shown == wanted:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server does not show certificate {name!r}")
        await asyncio.sleep(0.05)
