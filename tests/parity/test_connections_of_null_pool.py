"""NullPool makes a connection for each unit of work: what each costs, and follows."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from pgflight import driver
from pgflight.driver.login.parsed_arguments import READ_BY_ASYNCPG
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.pgbouncer import Pgbouncer


async def outcome(engine: AsyncEngine) -> Any:
    try:
        async with engine.connect() as connection:
            return await connection.scalar(sa.select(sa.literal(20) + 1))
    except Exception as error:
        return type(getattr(error, "orig", None) or error).__name__


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's directory without files, and an environment that says nothing to asyncpg."""
    for name in READ_BY_ASYNCPG:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_each_follows_the_environment_and_the_user_s_files(
    dialect: Dialect, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What asyncpg made of the last one's arguments is used only while it would be the same."""
    certificate = home / ".postgresql" / "postgresql.crt"

    async def work() -> list[Any]:
        engine = dialect.engine(poolclass=NullPool)
        found = [await outcome(engine), await outcome(engine)]
        monkeypatch.setenv("PGSSLMODE", "verify-full")
        found.append(await outcome(engine))  # for which there is no root certificate
        monkeypatch.setenv("PGSSLMODE", "perhaps")
        found.append(await outcome(engine))
        monkeypatch.delenv("PGSSLMODE")
        found.append(await outcome(engine))
        certificate.parent.mkdir()
        found.append(await outcome(engine))
        certificate.write_text("no certificate")
        found.append(await outcome(engine))
        certificate.unlink()
        certificate.parent.rmdir()
        found.append(await outcome(engine))
        return found

    # SQLAlchemy 2.0.40 lets asyncpg's error through as it is
    wrong, its_own = "InterfaceError", "ClientConfigurationError"
    found = [wrong if each == its_own else each for each in asyncio.run(work())]
    assert found == [21, 21, wrong, wrong, 21, 21, "SSLError", 21]


def test_a_password_that_the_url_has_not(
    both: Both, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for where asyncpg does, for each connection."""
    passwords = home / ".pgpass"
    passwords.touch(0o600)
    right = both.server.url().password

    async def work(engine: AsyncEngine) -> list[Any]:
        found = [await outcome(engine), await outcome(engine)]
        for password in ("wrong", right):
            monkeypatch.setenv("PGPASSWORD", str(password))
            found += [await outcome(engine), await outcome(engine)]
        monkeypatch.delenv("PGPASSWORD")
        for password in ("wrong", right):
            passwords.write_text(f"*:*:*:*:{password}")
            found.append(await outcome(engine))
        passwords.unlink()
        found += [await outcome(engine), await outcome(engine)]
        monkeypatch.setenv("PGPASSWORD", str(right))
        found += [await outcome(engine), await outcome(engine)]
        monkeypatch.delenv("PGPASSWORD")  # the other dialect begins without it
        return found

    url = both.server.url().set(password=None)
    found = both(work, url=url, poolclass=NullPool)
    assert found[-2:] == [21, 21]


def test_the_arguments_are_parsed_once(pgflight_dialect: Dialect, tmp_path: Path) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(poolclass=NullPool)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(tmp_path))
            for _ in range(20):
                assert await outcome(engine) == 21
        dbapi: Any = engine.dialect.dbapi
        assert dbapi.parsed.parses == int(driver.is_private())

    asyncio.run(work())


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "pooler"])
def test_a_closed_connection_needs_no_garbage_collection(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer, pooled: bool
) -> None:
    """A cycle would keep it, with its codecs and buffers, and cost the collector its time."""
    url = pgbouncer.url() if pooled else None
    left: list[weakref.ref[Any]] = []

    async def unit(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).dbapi_connection
            left.append(weakref.ref(raw.session.statements))
            for _ in range(2):
                assert await connection.scalar(sa.select(sa.literal(20) + 1)) == 21

    async def work() -> None:
        engine = pgflight_dialect.engine(url, poolclass=NullPool)
        await outcome(engine)
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                await unit(engine)
            await asyncio.sleep(0)
            assert [each() for each in left] == [None] * 5
        finally:
            gc.enable()

    asyncio.run(work())
