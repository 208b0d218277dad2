"""The Python in docs/copy.md runs as it stands there."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.pages import DOCS, blocks_of, run_blocks
from tests.parity.scratch import committed, own

PAGE = DOCS / "copy.md"


class Mood(enum.Enum):
    GOOD = 1
    BAD = 2


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = own("page_users")
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    mood: Mapped[Mood] = mapped_column(sa.Enum(Mood, name=own("page_mood")), default=Mood.BAD)


users = Base.metadata.tables[User.__tablename__]
archive = sa.Table(own("page_archive"), Base.metadata, sa.Column("name", sa.Text))


def test_the_page_runs(
    pgflight_dialect: Dialect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(blocks_of(PAGE)) == 6
    names: dict[str, Any] = {
        "sa": sa,
        "sqlalchemy": sa,
        "contextlib": contextlib,
        "pgflight": pgflight,
        "AsyncSession": AsyncSession,
        "Mood": Mood,
        "User": User,
        "users": users,
        "archive": archive,
        "path": tmp_path / "users.csv",
    }

    async def run() -> Any:
        names["engine"] = engine = pgflight_dialect.engine()
        async with committed(engine, Base.metadata):
            await run_blocks(PAGE, names)
            async with engine.connect() as connection:
                copied = sa.select(sa.func.count()).select_from(archive)
                return await connection.scalar(copied)

    assert asyncio.run(run()) == 10_001
    written = (tmp_path / "users.csv").read_bytes().splitlines()
    assert (written[0], len(written)) == (b"id,name,mood", 10_002)
    shown = capsys.readouterr().out.splitlines()
    assert shown[-3:] == ["user 0", "user 1", "user 2"]
    assert shown[-4].startswith("1000 rows, ")
