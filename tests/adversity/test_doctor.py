"""`doctor` against servers, poolers and networks that refuse: what it says, and its exit code.

Every refusal is a real one: servers with TLS and without, pgbouncer, a host that does not answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight import driver
from pgflight.__main__ import main
from pgflight.cli.doctor import server_checks
from pgflight.cli.doctor.checking import Answer, Check
from pgflight.cli.doctor.command import GOOD, NO_CONNECTION, WRONG
from pgflight.cli.doctor.connecting import login_arguments
from pgflight.cli.server.cluster import TempCluster
from tests.adversity.test_hosts_that_do_not_answer import FullQueue
from tests.adversity.tls_server import Endpoint, binaries, native_endpoint, speaks_tls
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server
from tests.unit.tls_material import isolate, make_material

_PASSWORD = "tiger w0rd"
_ROLES = {
    "scrammed": ("scram-sha-256", "SCRAM-SHA-256"),
    "hashed": ("md5", "md5"),
    "clear": ("password", "cleartext"),
    "trusted": ("trust", driver.NOTHING_ASKED),
}
"""Role -> (method in pg_hba.conf, what doctor calls it)."""


class Said:
    """One run of `doctor --json`."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        self.document: dict[str, Any] = json.loads(text)

    def fact(self, name: str) -> dict[str, Any]:
        """Return the finding of that name."""
        (found,) = [each for each in self.document["facts"] if each["name"] == name]
        return dict(found)

    @property
    def wrong(self) -> list[str]:
        """The names of what is wrong."""
        return [each["name"] for each in self.document["facts"] if not each["good"]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs doctor on a URL; its output never has the password."""

    def ask(url: URL) -> Said:
        code = main(["doctor", "--json", url.render_as_string(hide_password=False)])
        said = Said(code, capsys.readouterr().out)
        assert said.document["exit_code"] == code
        assert url.password is None or f":{url.password}@" not in said.text
        return said

    return ask


def refused(said: Said, kind: str, *parts: str) -> None:
    """Check that the login was refused, why, and that the line has `parts`."""
    fact = said.fact("connect")
    assert said.code == NO_CONNECTION
    assert (said.wrong, fact["data"]["refused_by"]) == (["connect"], kind), fact["text"]
    assert all(part in fact["text"] for part in parts), fact["text"]


def test_a_database_that_is_not_there(server: Server, ask: Any) -> None:
    said = ask(server.url(database="tets"))
    refused(
        said, "database", "the database 'tets'", "The server has: ", str(server.address.database)
    )


def test_a_wrong_password(server: Server, ask: Any) -> None:
    said = ask(server.url().set(password="not it"))
    refused(said, "password", "%40")
    assert "not it" not in said.text


def test_no_password(server: Server, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/nowhere")
    address = server.url()
    url = URL.create("postgresql", address.username, None, address.host, address.port, "test")
    refused(ask(url), "password", "The URL has no password")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_listens(server: Server, ask: Any, host: str) -> None:
    refused(ask(server.url(host=host, port=1)), "not listening", f"host {host!r}, port 1:")


def test_a_host_that_does_not_exist(server: Server, ask: Any) -> None:
    refused(ask(server.url(host="no-such-host.invalid")), "host", "host 'no-such-host.invalid':")


def test_a_socket_that_is_not_there(server: Server, ask: Any, tmp_path: Path) -> None:
    url = URL.create("postgresql", "u", "p", None, None, "d", {"host": str(tmp_path)})
    refused(ask(url), "socket", str(tmp_path))


def test_a_host_that_does_not_answer(server: Server, ask: Any) -> None:
    silent = FullQueue()
    try:
        url = server.url(host=silent.host, port=silent.port, query={"connect_timeout": "1"})
        refused(ask(url), "silent", f"port {silent.port}", "firewall", "within 1 seconds")
    finally:
        silent.close()


def test_a_server_that_falls_silent(
    server: Server, proxy: Proxy, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next login is not answered: that ends it, instead of all checks taking their time."""

    async def fall_silent(engine: AsyncEngine) -> Answer:
        proxy.black_hole()
        return Answer("")

    first, *others = server_checks.CHECKS
    monkeypatch.setattr(
        server_checks, "CHECKS", (first, Check("silence", fall_silent), *others[2:])
    )
    url = proxy.url().update_query_dict({"connect_timeout": "1"})
    said = ask(url)
    proxy.heal()
    assert (said.code, said.wrong) == (NO_CONNECTION, [others[2].name])


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server that speaks TLS."""
    if not speaks_tls(binaries()):
        pytest.skip("this PostgreSQL was built without TLS")
    with native_endpoint(make_material(tmp_path_factory.mktemp("tls"))) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)


def tls_url(endpoint: Endpoint, role: str, query: dict[str, str], host: str = "localhost") -> URL:
    given = endpoint.arguments(role)
    return URL.create(
        "postgresql", role, given["password"], host, given["port"], given["database"], query
    )


@pytest.mark.usefixtures("home")
def test_a_server_that_wants_tls(tls: Endpoint, ask: Any) -> None:
    # an address, since the server's rules are for IPv4
    url = tls_url(tls, "tls_only", {"sslmode": "disable"}, "127.0.0.1")
    refused(ask(url), "tls needed", "sslmode=require")
    said = ask(url.update_query_dict({"sslmode": "require"}))
    data = said.fact("encryption")["data"]
    assert (said.code, data["tls"].split(",")[0], data["verified"]) == (GOOD, "TLSv1.3", False)
    assert data["server_tls"].startswith("TLSv1.3")
    # by TLS a server offers both, and asyncpg knows the latter
    method = said.fact("authentication")["data"]["method"]
    assert method == "SCRAM-SHA-256-PLUS or SCRAM-SHA-256"


@pytest.mark.usefixtures("home")
def test_a_certificate_that_is_verified(tls: Endpoint, ask: Any) -> None:
    material = tls.material
    query = {"sslmode": "verify-full", "sslrootcert": material.roots}
    said = ask(tls_url(tls, "tls_only", query))
    assert (said.code, said.fact("encryption")["data"]["verified"]) == (GOOD, True)
    query["sslrootcert"] = material.other_roots
    refused(ask(tls_url(tls, "tls_only", query)), "certificate", "sslrootcert=")


@pytest.mark.usefixtures("home")
def test_a_client_that_has_a_certificate(tls: Endpoint, ask: Any) -> None:
    material = tls.material
    query = {
        "sslmode": "verify-full",
        "sslrootcert": material.roots,
        "sslcert": material.client_cert,
        "sslkey": material.client_key,
    }
    said = ask(tls_url(tls, "certified", query))
    assert said.code == GOOD
    assert said.fact("authentication")["data"] == {"method": driver.NOTHING_ASKED}


@pytest.fixture(scope="module")
def plain() -> Iterator[TempCluster]:
    """A server without TLS that asks each of `_ROLES` in another way."""
    with TempCluster(binaries(), settings={"fsync": "off"}) as cluster:
        asyncio.run(_make_roles(cluster))
        yield cluster


async def _make_roles(cluster: TempCluster) -> None:
    connection = await asyncpg.connect(cluster.url().replace("+asyncpg", ""))
    try:
        for role, (method, _) in _ROLES.items():
            stored = "md5" if method == "md5" else "scram-sha-256"
            await connection.execute(f"SET password_encryption = '{stored}'")
            await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{_PASSWORD}'")
        rules = [f"host all {role} 127.0.0.1/32 {_ROLES[role][0]}\n" for role in _ROLES]
        rules.append("host all scott 127.0.0.1/32 scram-sha-256\n")
        Path(await connection.fetchval("SHOW hba_file")).write_text("".join(rules))
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


def plain_url(cluster: TempCluster, role: str, **query: str) -> URL:
    return URL.create(
        "postgresql", role, _PASSWORD, cluster.host, cluster.port, cluster.database, query
    )


@pytest.mark.parametrize("role", _ROLES)
def test_how_the_server_authenticates(plain: TempCluster, ask: Any, role: str) -> None:
    said = ask(plain_url(plain, role, sslmode="disable"))
    assert said.fact("authentication")["data"] == {"method": _ROLES[role][1]}
    assert said.code == GOOD


@pytest.mark.parametrize("mode", ["prefer", "allow", "disable"])
def test_the_method_is_seen_in_every_way_to_log_in(plain: TempCluster, mode: str) -> None:
    url = plain_url(plain, "hashed", sslmode=mode).set(drivername="postgresql+pgflight")
    seen = asyncio.run(driver.see_login(login_arguments(url), seconds=10, guards=True))
    assert seen == driver.Seen("md5", None)


def test_a_password_is_not_sent_in_clear_text(plain: TempCluster, ask: Any) -> None:
    refused(ask(plain_url(plain, "clear")), "cleartext", "it was not sent", "sslmode=require")


def test_a_server_without_tls(plain: TempCluster, ask: Any) -> None:
    refused(ask(plain_url(plain, "scrammed", sslmode="require")), "tls off", "ssl = on")


def test_somebody_whom_the_server_has_no_rule_for(plain: TempCluster, ask: Any) -> None:
    said = ask(plain_url(plain, "nobody"))
    # without TLS that is what it may lack, too
    refused(said, "tls needed", "no pg_hba.conf entry", "sslmode=require")


def test_a_pooler_in_transaction_mode(pgbouncer: Pgbouncer, ask: Any) -> None:
    said = ask(pgbouncer.url())
    assert said.code == GOOD
    pooler = said.fact("pooler")["data"]
    assert pooler["found"] == "transaction" and pooler["moves_between_transactions"]
    assert pooler["process_of_login"] != pooler["process_of_statements"]
    assert [each["option"] for each in said.document["settings"]] == ["pooler"]
    assert said.document["url_advised"].endswith("?pooler=transaction")
    followed = said.fact("prepared statements")["data"]["names_followed"]
    assert followed is pgbouncer.follows_names


def test_a_url_that_denies_the_pooler(pgbouncer: Pgbouncer, ask: Any) -> None:
    """One client would find nothing wrong; two meet each other's statements."""
    said = ask(pgbouncer.url().update_query_dict({"pooler": "none"}))
    assert said.code == WRONG
    wrong = ["pooler"] if pgbouncer.follows_names else ["pooler", "prepared statements"]
    assert said.wrong[:2] == wrong
    assert said.document["url_advised"].endswith("?pooler=transaction")


def test_a_database_that_the_pooler_does_not_know(pgbouncer: Pgbouncer, ask: Any) -> None:
    refused(ask(pgbouncer.url().set(database="tets")), "pooler", "the database 'tets'")
