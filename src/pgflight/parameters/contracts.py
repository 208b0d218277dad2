"""Protocols of SQLAlchemy's objects that this room and those above it read.

They cover only what is read, so that both lines of SQLAlchemy satisfy them: its own classes differ
in what may be None and in what is generic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import BindParameter


class Compiled(Protocol):
    """A compiled statement of the dialect's compiler."""

    __dict__: dict[str, Any]

    @property
    def binds(self) -> Mapping[str, BindParameter[Any]]: ...
    @property
    def bind_names(self) -> Mapping[BindParameter[Any], str]: ...
    @property
    def cache_key(self) -> Any: ...
    @property
    def column_keys(self) -> Sequence[str] | None: ...
    @property
    def compile_state(self) -> Any: ...
    @property
    def dialect(self) -> Dialect: ...
    @property
    def escaped_bind_names(self) -> Mapping[str, str]: ...
    @property
    def for_executemany(self) -> bool: ...
    @property
    def has_out_parameters(self) -> bool: ...
    @property
    def implicit_returning(self) -> Any: ...  # a sequence of columns, or None
    @property
    def in_lists(self) -> Any: ...  # what the compiler noted of its IN lists
    @property
    def insert_prefetch(self) -> Sequence[Any]: ...
    @property
    def isdelete(self) -> bool: ...
    @property
    def isinsert(self) -> bool: ...
    @property
    def isplaintext(self) -> bool: ...
    @property
    def isupdate(self) -> bool: ...
    @property
    def literal_execute_params(self) -> frozenset[BindParameter[Any]]: ...
    @property
    def positional(self) -> bool: ...
    @property
    def positiontup(self) -> Any: ...  # a list of names; None where parameters are named
    @property
    def post_compile_params(self) -> frozenset[BindParameter[Any]]: ...
    @property
    def render_bind_cast(self) -> Callable[..., str]: ...
    @property
    def schema_translate_map(self) -> Mapping[Any, Any] | None: ...
    @property
    def string(self) -> str: ...
    @property
    def update_prefetch(self) -> Sequence[Any]: ...


class Context(Protocol):
    """The execution context of one statement."""

    __dict__: dict[str, Any]

    @property
    def compiled(self) -> Any: ...  # a Compiled, or None for a text
    @property
    def cursor(self) -> Any: ...
    @property
    def dialect(self) -> Any: ...  # ours
    @property
    def execute_style(self) -> Any: ...
    @property
    def execution_options(self) -> Mapping[str, Any]: ...
    @property
    def is_crud(self) -> bool: ...
    @property
    def isinsert(self) -> bool: ...
    @property
    def isupdate(self) -> bool: ...
    @property
    def parameters(self) -> Any: ...
    @property
    def root_connection(self) -> Any: ...  # SQLAlchemy's Connection
    @property
    def statement(self) -> str: ...
