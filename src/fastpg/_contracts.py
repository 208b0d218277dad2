"""What both forms of every compiled piece offer, as Protocols.

fastpg._impl types its modules with them; mypy checks every caller against them, and one test
checks both forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Rows(Protocol):
    """The module `rows`."""

    def tuples(self, records: list[Any]) -> list[Any]:
        """Replace every element that is not a tuple by a tuple of its values, in place."""
        ...

    def rowcount(self, status: str | None) -> int:
        """Return the row count in a command tag, -1 where it has none that counts."""
        ...


class Converters(Protocol):
    """The module `converters`."""

    def loads(self, text: str) -> Any:
        """Return or raise what json.loads does."""
        ...

    def json_decoder(
        self, deserializer: Callable[[Any], Any] | None, *, takes_bytes: bool, prefix: int
    ) -> Callable[[bytes], Any]:
        """Return a function from the server's bytes to a value."""
        ...

    def json_encoder(self, prefix: bytes) -> Callable[[str | bytes], bytes]:
        """Return a function from a serializer's result to the server's bytes."""
        ...

    def uuid_text(self, value: Any) -> str | None:
        """Return the canonical text of a UUID; None stays None."""
        ...


class ParamPlan(Protocol):
    """The class `ParamPlan` of the module `params`."""

    def __init__(
        self,
        binds: Mapping[Any, str],
        indexes: Mapping[Any, int],
        positions: Sequence[str],
        processors: Mapping[str, Callable[[Any], Any]],
    ) -> None: ...

    def values(
        self, many: Sequence[Mapping[str, Any]], extracted: Sequence[Any] | None
    ) -> list[tuple[Any, ...]] | int:
        """Return the values of each set, or the number of the first that lacks one."""
        ...

    def named(self, sets: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Return the values of complete sets by name."""
        ...

    def sets(self, values: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Return a dictionary by name for each set."""
        ...

    def rows(self, values: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return the positional parameters of each set."""
        ...


class Params(Protocol):
    """The module `params`."""

    @property
    def ParamPlan(self) -> type[ParamPlan]: ...

    def flatten(self, batch: list[Any], lower: int, upper: int) -> Any:
        """Return the parameters of a statement for all rows of a batch."""
        ...


class StatementCache(Protocol):
    """The class `StatementCache` of the module `stmtcache`."""

    def __init__(self, capacity: int) -> None: ...

    @property
    def capacity(self) -> int: ...
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def evictions(self) -> int: ...
    @property
    def invalidations(self) -> int: ...

    def get(self, key: Any) -> Any:
        """Return a value and mark it most recent; None when it is not there."""
        ...

    def put(self, key: Any, value: Any) -> None:
        """Store a value; drop the least recently used one beyond capacity."""
        ...

    def pop(self, key: Any) -> Any:
        """Remove a key and return its value, None when it is not there."""
        ...

    def clear(self) -> None:
        """Drop every entry and count them as invalidated."""
        ...

    def keys(self) -> list[Any]:
        """Return the keys, least recently used first."""
        ...

    def __len__(self) -> int: ...
    def __contains__(self, key: object) -> bool: ...


class StmtCache(Protocol):
    """The module `stmtcache`."""

    @property
    def StatementCache(self) -> type[StatementCache]: ...
