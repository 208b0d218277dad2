# mypy: disable-error-code="misc, call-arg, import-not-found"
"""An ordinary SQLModel program; `test_program.py` runs it like `fastapi_app.py`."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, Column, DateTime
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

engine = create_async_engine(os.environ["DATABASE_URL"])


class Team(SQLModel, table=True):
    """A group of heroes."""

    __tablename__ = "teams_of_program"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    founded: datetime = Field(sa_column=Column(DateTime(timezone=True)))


class Hero(SQLModel, table=True):
    """Someone with a budget."""

    __tablename__ = "heroes_of_program"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True)
    budget: Decimal = Field(max_digits=10, decimal_places=2)
    powers: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON))
    team_id: int | None = Field(default=None, foreign_key="teams_of_program.id")


def shown(item: SQLModel) -> str:
    """Return an object as JSON, in an order: a refresh leaves its fields in that of a set."""
    return json.dumps(item.model_dump(mode="json"), sort_keys=True)


async def work(session: AsyncSession) -> None:
    founded = datetime(2020, 2, 2, tzinfo=timezone.utc)
    teams = [Team(name=name, founded=founded) for name in ("north", "süd")]
    session.add_all(teams)
    await session.commit()
    for team in teams:
        await session.refresh(team)
        print(shown(team))
    for number in range(5):
        budget = Decimal(number) / 4
        powers = {"fly": number, "list": [None, 1.5]}
        team_id = teams[number % 2].id
        session.add(Hero(name=f"h{number}", budget=budget, powers=powers, team_id=team_id))
    await session.commit()
    heroes = await session.exec(select(Hero, Team).join(Team).order_by(col(Hero.name)))
    for hero, team in heroes:
        print(shown(hero), team.name)
    totals = select(Team.name, func.sum(Hero.budget)).join(Team).group_by(Team.name)
    print((await session.exec(totals.order_by(Team.name))).all())
    first = (await session.exec(select(Hero).where(Hero.name == "h1"))).one()
    first.budget += 1
    session.add(first)
    await session.commit()
    await session.refresh(first)
    print(shown(first))
    await session.delete(first)
    await session.commit()
    print(len((await session.exec(select(Hero))).all()))
    session.add(Team(name="north", founded=founded))
    try:
        await session.commit()
    except IntegrityError as error:
        print(type(error).__name__, getattr(error.orig, "pgcode", None))


async def main() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.drop_all)
        await connection.run_sync(SQLModel.metadata.create_all)
    async with AsyncSession(engine) as session:
        await work(session)
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.drop_all)
    await engine.dispose()
    print(type(engine.dialect).__module__, file=sys.stderr)
