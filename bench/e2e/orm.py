"""The workload of the ORM: 1,000 entities of seven columns, loaded into an empty session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry

from bench.e2e import schema
from bench.e2e.core import OnConnection
from bench.e2e.workload import Workload


class Entity:
    """A row of the table `small`."""


class Entities(OnConnection):
    """Loads every entity; the identity map is emptied afterwards, within the measured time."""

    def __init__(self, url: URL, schema_name: str) -> None:
        super().__init__(url)
        if "__mapper__" not in vars(Entity):
            registry().map_imperatively(Entity, schema.Tables(schema_name).small)
        self._statement = select(Entity)

    async def open(self) -> None:
        await super().open()
        self._session = AsyncSession(self.connection)

    async def step(self) -> Any:
        entities = (await self._session.scalars(self._statement)).all()
        self._session.expunge_all()
        return entities

    async def rows(self, result: Any) -> Iterable[Any]:
        return [[getattr(entity, name) for name in schema.COLUMNS] for entity in result]

    async def close(self) -> None:
        await self._session.close()
        await super().close()


def make(name: str, url: URL, schema_name: str) -> Workload | None:
    """Return the workload of that name, None if it is not one of the ORM."""
    return Entities(url, schema_name) if name == "orm_entities" else None
