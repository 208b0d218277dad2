"""What a check of `doctor` is, and how one is run: on an engine of its own, in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgflight.cli.doctor.refusals import explained
from pgflight.cli.environment import Fact
from pgflight.cli.target import one_line


class Wrong(Exception):
    """The server answered, and the answer is not the expected one."""

    def __init__(self, text: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(text)
        self.data = data or {}


class Refused(Wrong):
    """The server could not be reached, or did not let us in."""


@dataclass(frozen=True)
class Answer:
    """What a check has found: for people, and for programs."""

    text: str
    data: Mapping[str, object] = field(default_factory=dict)


class Check(NamedTuple):
    """`run` returns what it found; it raises Wrong, or lets the driver's error pass."""

    name: str
    run: Callable[[AsyncEngine], Awaitable[Answer]]


async def run_check(check: Check, url: URL, seconds: float) -> Fact:
    """Run `check` on an engine of its own and give up after `seconds`."""
    try:
        engine = create_async_engine(url, pool_size=1, max_overflow=0)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        return Fact(check.name, False, one_line(error), {"refused_by": "option"})
    try:
        answer = await asyncio.wait_for(check.run(engine), seconds)
        return Fact(check.name, True, answer.text, answer.data)
    except Wrong as error:
        return Fact(check.name, False, str(error), error.data)
    # Not only database errors: a missing TLS file is an OSError.  Nor is a TimeoutError always
    # ours: that of a login says which host has not answered.
    except Exception as error:
        if isinstance(error, asyncio.TimeoutError) and not error.args:
            return Fact(
                check.name,
                False,
                f"no answer within {seconds:g} seconds",
                {"refused_by": "no answer"},
            )
        kind, text = explained(error, url)
        return Fact(check.name, False, text, {"refused_by": kind})
    finally:
        await engine.dispose()


def expect(what: str, found: object, expected: object) -> None:
    """Raise Wrong if `found` is not what was expected."""
    if found != expected:
        raise Wrong(f"{what} gave {found!r} instead of {expected!r}")
