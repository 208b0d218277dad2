"""What the demonstration does with its tables: the steps, in order.

`comparison.py` runs STEPS on an engine of the built-in dialect and on one of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight.cli.demo import core_steps, orm_steps
from pgflight.cli.demo.dataset import Dataset
from pgflight.cli.demo.outcome import Outcome


class Step(NamedTuple):
    """One line of the table; the whole of `run` is timed."""

    name: str
    run: Callable[[AsyncEngine, Dataset], Awaitable[Outcome]]


STEPS: tuple[Step, ...] = (
    Step("open a pool", core_steps.open_pool),
    Step("create tables", core_steps.create_tables),
    Step("bulk insert", core_steps.bulk_insert),
    Step("ORM writes", orm_steps.orm_writes),
    Step("ORM reads", orm_steps.orm_reads),
    Step("read-only requests", orm_steps.read_requests),
    Step("read-write requests", orm_steps.write_requests),
    Step("JSONB queries", core_steps.jsonb_queries),
    Step("fetch whole tables", core_steps.read_everything),
    Step("streaming", core_steps.streaming),
    Step("rolled-back work", orm_steps.rolled_back),
    Step("DDL, cached statement", core_steps.ddl_under_cache),
    Step("drop tables", core_steps.drop_tables),
)
