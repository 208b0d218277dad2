"""What the options that are pgflight's own come to for one engine: frozen, read by everybody.

Each field is a row of :data:`pgflight.options.table.OPTIONS` whose target is DIALECT, under the
same name; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class EngineOptions:
    """The options of an engine's sessions, in their right types; what is not given has its default.

    The table says what each means.
    """

    prepared_statement_cache_size: int = 100
    prepared_statement_name_func: Callable[[], str | None] | None = None
    async_creator_fn: Callable[..., Any] | None = None
    async_fallback: bool = False
    pipeline: str = "auto"
    pooler: str = "auto"
    ping_bypass_window: float = 0.0
    reset_timeout: float = 10.0
    commit_timeout: float = 60.0
    heal: str = "first"
    allow_cleartext_password: bool = False
    array_insert: bool = True
    array_dml: bool = False

    @classmethod
    def taken_from(cls, arguments: dict[str, Any]) -> EngineOptions:
        """Return the options among the ``arguments`` of a connection, which are removed there."""
        return cls(**{name: arguments.pop(name) for name in NAMES if name in arguments})


NAMES = tuple(field.name for field in fields(EngineOptions))
