"""What both forms of every compiled piece offer, as Protocols.

pgflight._impl types its modules with them; mypy checks callers, a test both forms."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol


class Rows(Protocol):
    """The module `rows`."""

    def tuples(self, records: list[Any]) -> list[Any]:
        """Replace every element that is not a tuple by a tuple of its values, in place."""
        ...

    def rowcount(self, status: str | bytes | None) -> int:
        """Return the row count in a command tag, -1 where it has none that counts."""
        ...


class RowFactory(Protocol):
    """The class `RowFactory` of the module `results`."""

    def __init__(
        self,
        row_class: Callable[..., Any],
        parent: Any,
        processors: Iterable[Callable[[Any], Any] | None] | None,
        key_to_index: Any,
    ) -> None: ...

    @property
    def parent(self) -> Any: ...

    def __call__(self, record: object) -> Any:
        """Return the row of one record."""

    def many(self, records: Iterable[Any]) -> list[Any]:
        """Return the rows of a sequence of records, as a new list."""
        ...

    def fill(self, records: list[Any]) -> list[Any]:
        """Replace the records in a list by their rows, and return the list."""
        ...

    def interim(self, records: Iterable[Any]) -> list[Any]:
        """Return processed tuples of a sequence of records, as a new list."""
        ...

    def tuples(self, records: list[Any]) -> list[Any]:
        """Replace the records in a list by processed tuples, and return the list."""
        ...

    def column(self, records: list[Any], position: int) -> list[Any]:
        """Replace the records in a list by one value of each; return the list."""
        ...

    def iterate(
        self, result: object, cursor: Any, rows: deque[Any], stock: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        """Return an iterator that takes rows from the deque of an open cursor."""
        ...


class Results(Protocol):
    """The module `results`."""

    OWN_ROWS: bool

    @property
    def RowFactory(self) -> type[RowFactory]: ...

    def layout_found(self, row_class: object) -> bool:
        """Tell whether instances of a class can be filled without calling it."""
        ...


class Receiver(Protocol):
    """The class `Receiver` of the module `receiving`."""

    def __init__(self, protocol: Any) -> None: ...

    overhear: Any
    screen: Any
    when_collected: Any
    when_refused: Any

    protocol: Any
    status: int
    farewell: bool
    whole: bool
    owed: int

    def foretell(self, answer: bytes) -> None:
        """Give the protocol `answer` now, and nothing when the server gives the same one."""

    def owe(self, answer: bytes) -> None:
        """Keep `answer` from the protocol when the server gives it."""

    def data_received(self, data: bytes) -> None:
        """Pass on bytes, without a collection in between where they are many."""

    def connection_lost(self, error: Exception | None) -> None:
        """Pass the end on; nothing is owed any more."""


class Receiving(Protocol):
    """The module `receiving`."""

    WORTH_HOLDING: int

    @property
    def Receiver(self) -> type[Receiver]: ...


class JsonDecode(Protocol):
    """The module `jsondecode`."""

    def loads(self, text: str) -> Any:
        """Return or raise what json.loads does."""
        ...

    def json_decoder(
        self, deserializer: Callable[[Any], Any] | None, *, takes_bytes: bool, prefix: int
    ) -> Callable[[bytes], Any]:
        """Return a function from the server's bytes to a value."""
        ...


class JsonEncode(Protocol):
    """The module `jsonencode`."""

    def dumps(self, value: object) -> str:
        """Return or raise what json.dumps does."""
        ...

    def standard(self) -> bool:
        """Tell whether json.dumps is the standard library's own."""
        ...

    # the bind processor of a JSON type, with json.dumps inside
    def json_binder(self, json_type: object, null_type: type) -> Callable[[Any], str | None]: ...

    # a function from a serializer's result to the server's bytes
    def json_encoder(self, prefix: bytes) -> Callable[[str | bytes], bytes]: ...


class ParamPlan(Protocol):
    """The class `ParamPlan` of the module `params`."""

    def __init__(
        self,
        binds: Mapping[Any, str],
        indexes: Mapping[Any, int],
        positions: Sequence[str],
        processors: Mapping[str, Callable[[Any], Any]],
    ) -> None: ...

    # the values of each set, or the number of the first that lacks one
    def values(
        self, many: Sequence[Mapping[str, Any]], extracted: Sequence[Any] | None
    ) -> list[tuple[Any, ...]] | int: ...

    # the values of complete sets by name
    def named(self, sets: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]: ...

    # a dictionary by name for each set
    def sets(self, values: list[tuple[Any, ...]]) -> list[dict[str, Any]]: ...

    # the positional parameters of each set
    def rows(self, values: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]: ...
    # the same, a list for each position
    def columns(self, values: list[tuple[Any, ...]]) -> list[list[Any]]: ...


class Params(Protocol):
    """The module `params`."""

    @property
    def ParamPlan(self) -> type[ParamPlan]: ...

    def flatten(self, batch: list[Any], lower: int, upper: int) -> Any:
        """Return the parameters of a statement for all rows of a batch."""

    def within(self, values: Sequence[Any], most: int) -> bool: ...
    def longest(self, values: Sequence[Any]) -> int: ...


class Processors(Protocol):
    """The module `processors`."""

    def lookup(
        self, mapping: dict[Any, Any], otherwise: Callable[[Any], Any]
    ) -> Callable[[Any], Any]:
        """Return a function from a key to its value; what is no key is left to another."""
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

    def get(self, key: object) -> Any:
        """Return a value and mark it most recent; None when it is not there."""
        ...

    def put(self, key: object, value: object) -> None:
        """Store a value; drop the least recently used one beyond capacity."""

    def pop(self, key: object) -> Any:
        """Remove a key and return its value, None when it is not there."""
        ...

    def clear(self) -> None:
        """Drop every entry and count them as invalidated."""

    def keys(self) -> list[Any]:
        """Return the keys, least recently used first."""
        ...

    def __len__(self) -> int: ...
    def __contains__(self, key: object) -> bool: ...


class StmtCache(Protocol):
    """The module `stmtcache`."""

    @property
    def StatementCache(self) -> type[StatementCache]: ...


class Tally(Protocol):
    """The class `Tally` of the module `tags`."""

    def __init__(self) -> None: ...

    @property
    def total(self) -> int: ...

    def take(self, data: bytes) -> None:
        """Look at the bytes that come next, the first ones at the beginning of a message."""


class Tags(Protocol):
    """The module `tags`."""

    @property
    def Tally(self) -> type[Tally]: ...


class ValueCodecs(Protocol):
    """The modules `temporal` and `numeric`: codecs in place of asyncpg's own, in its "binary"."""

    CODECS: Mapping[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]]
    """Type in pg_catalog -> encoder, decoder."""
    FASTER: tuple[str, ...]
    """The types for which this form is faster than asyncpg's own codec, which has the others."""
    SAFER: tuple[str, ...]
    """Those of which asyncpg's own codec reads some as another value: ours is used in any case."""


class Uuids(Protocol):
    """The module `uuids`."""

    def uuid_text(self, value: object) -> str | None:
        """Return the canonical text of a UUID; None stays None."""
        ...


class Stacks(Protocol):
    """The module `stacks`; what its functions do stands in its Python form."""

    BOUND: int

    def obstacle(self) -> str: ...
    def start(self, run: Callable[[], object]) -> str: ...
    def stop(self) -> None: ...
    def numbers(self) -> tuple[int, int, int, int, int]: ...
    def outermost(self) -> bool: ...
