"""The first connection of an engine: what SQLAlchemy asks of a server, asked in one statement.

A base of the dialect.  SQLAlchemy asks for version, schema, isolation level and string syntax one
by one, in a transaction: ten round trips.  Here one statement outside a transaction fetches
all four beforehand; SQLAlchemy's own code, and whatever a derived dialect overrides of it, then
runs as usual with these answers.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sqlalchemy.dialects.postgresql.base import PGDialect

from .. import driver
from ..compat import capability
from ..compat.connections import is_stock_question, log
from ..compat.features import Feature
from ..dbapi.connection import AsyncAdapt_asyncpg_connection
from .pool_health import bounded

_KNOWN = capability.has(Feature.FIRST_CONNECTION)

QUESTION = (
    "SELECT pg_catalog.version(), current_schema(),"
    " pg_catalog.current_setting('transaction_isolation'),"
    " pg_catalog.current_setting('standard_conforming_strings'),"
    f" {driver.PROCESS}"
)

_VERSION = "select pg_catalog.version()"
_POSTGRESQL = re.compile(
    r"PostgreSQL \d+(?:\.\d+)*(?:devel|alpha\d+|beta\d+|rc\d+)?(?: \((?P<packager>[^()]*)\))?"
    r" on [\w.-]+, compiled by .*, (?:32|64)-bit"
)
_FORKS = re.compile(
    r"greenplum|cloudberry|enterprisedb|edb|yugabyte|redshift|materialize|questdb|cockroach|crate"
    r"|gauss|polardb|hologres|risingwave|h2|citus|babelfish",
    re.IGNORECASE,
)

_CONFIRM = (
    "BEGIN ISOLATION LEVEL {upper};"
    " SELECT 1 / (pg_catalog.current_setting('transaction_isolation') = '{lower}')::int;"
    " ROLLBACK"
)
"""Fails if a transaction of the level cannot begin, or gets a level that was not requested."""

_IN_ONE = "the first connection's questions in one"


def is_postgresql(version: str) -> bool:
    """Tell whether the result of ``version()`` is that of PostgreSQL itself, not of a relative."""
    match = _POSTGRESQL.fullmatch(version)
    return match is not None and not _FORKS.search(match["packager"] or "")


class Answers(NamedTuple):
    """One server's answer to :data:`QUESTION`."""

    version: str
    schema: str | None
    isolation: str | None
    """In lower case; ``None`` if only a transaction of the engine's own level can tell."""
    conforming: str


class InitializingDialect(PGDialect):
    """PostgreSQL's dialect with an :meth:`initialize` of two round trips instead of ten.

    Three if the engine has an isolation level of its own.
    """

    server_is_postgresql = False
    """Whether the server of the first connection is PostgreSQL itself: not one of the servers that
    speak its protocol or derive from it, whose rules for statements of many rows differ."""

    _told: tuple[Any, Answers] | None = None  # the connection in initialize(), and its answers

    def initialize(self, connection: Any) -> None:
        """Learn the server's version and defaults from the engine's first connection.

        Raises the same errors as SQLAlchemy's own, and asks as it does if the one statement fails.
        """
        adapted = connection.connection.dbapi_connection
        try:
            with bounded(adapted, "the first question"):
                self._told = _ask(connection) if _KNOWN else None
                super().initialize(connection)  # type: ignore[no-untyped-call]
        except BaseException:
            adapted.terminate()  # the pool does not know it yet, and would leave it open
            if not connection.closed:
                connection.invalidate()  # SQLAlchemy would roll back on it
            raise
        finally:
            self._told = None
        if not self.server_is_postgresql or self.name != "postgresql":
            self._without_arrays()

    def _without_arrays(self) -> None:
        """Leave out what only PostgreSQL is known to do as it is done here."""

    def _answers(self, dbapi_connection: Any) -> Answers | None:
        told = self._told
        return told[1] if told is not None and told[0] is dbapi_connection else None

    def _knowing(self, connection: Any) -> Any:
        """Return ``connection``; in `initialize()`, one that knows the answers already."""
        if self._told is None:
            return connection
        answers = self._answers(connection.connection.dbapi_connection)
        return connection if answers is None else _KnowingConnection(connection, answers)

    # A dialect between this class and PGDialect gets the connection unchanged.

    def _get_server_version_info(self, connection: Any) -> Any:
        inherited: Any = super()._get_server_version_info
        self.server_is_postgresql = False
        if not is_stock_question(inherited):
            return inherited(connection)
        listening = _Listening(self._knowing(connection))
        answer = inherited(listening)
        self.server_is_postgresql = is_postgresql(listening.version)
        return answer

    def _get_default_schema_name(self, connection: Any) -> Any:
        inherited: Any = super()._get_default_schema_name
        if is_stock_question(inherited):
            connection = self._knowing(connection)
        return inherited(connection)

    def _set_backslash_escapes(self, connection: Any) -> None:
        inherited: Any = super()._set_backslash_escapes
        if is_stock_question(inherited):
            connection = self._knowing(connection)
        inherited(connection)

    def get_default_isolation_level(self, dbapi_conn: object) -> Any:
        """Return the name of the isolation level in which the engine's transactions begin."""
        answers = self._answers(dbapi_conn)
        if (
            answers is None
            or answers.isolation is None
            or getattr(self.get_isolation_level, "__func__", None)
            is not PGDialect.get_isolation_level
        ):
            return super().get_default_isolation_level(dbapi_conn)  # type: ignore[no-untyped-call]
        return answers.isolation.upper()


class _Answer:
    """The result of a statement whose one value is known."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def scalar(self) -> str | None:
        return self._value

    scalar_one = scalar_one_or_none = scalar


class _Listening:
    """A connection that takes a note of the server's version in words."""

    version = ""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def exec_driver_sql(self, statement: str, *parameters: Any, **options: Any) -> Any:
        result = self._connection.exec_driver_sql(statement, *parameters, **options)
        if statement != _VERSION:
            return result
        value = result.scalar()
        self.version = value if isinstance(value, str) else ""
        return _Answer(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _KnowingConnection:
    """SQLAlchemy's connection, except that it knows the answers to three statements."""

    def __init__(self, connection: Any, answers: Answers) -> None:
        self._connection = connection
        self._answers = {
            _VERSION: answers.version,
            "select current_schema()": answers.schema,
            "show standard_conforming_strings": answers.conforming,
        }

    def exec_driver_sql(self, statement: str, *parameters: Any, **options: Any) -> Any:
        if statement in self._answers and not parameters and not options:
            return _Answer(self._answers[statement])
        return self._connection.exec_driver_sql(statement, *parameters, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _ask(connection: Any) -> tuple[Any, Answers] | None:
    """Return the DBAPI connection and its server's answers, ``None`` to ask one by one.

    That is done for a connection that is not ours, for one on which a listener has begun a
    transaction (a failure would abort it), where somebody watches asyncpg, and for a server that
    cannot answer: SQLAlchemy then asks it again, so that an error is reported as usual.
    """
    adapted = connection.connection.dbapi_connection
    if (
        not isinstance(adapted, AsyncAdapt_asyncpg_connection)
        or adapted.session.unit.transaction is not None
        or adapted._connection.is_in_transaction()
        or adapted.session.watch.steps_aside(_IN_ONE)
    ):
        return None
    log(connection, QUESTION, "[raw sql] ()")
    try:
        answers = adapted.await_(_answers_of(adapted))
    except Exception:
        return None
    return None if answers is None else (adapted, answers)


async def _answers_of(adapted: AsyncAdapt_asyncpg_connection) -> Answers | None:
    connection = adapted._connection
    # unnamed: nothing to close afterwards, and no name that a pooler could mix up
    statement = await adapted.session.statements.prepare_unnamed(QUESTION)
    records, _ = await driver.fetch(statement, (), adapted.session.watch)
    version, schema, isolation, conforming, process = records[0]
    adapted.session.statements.route.answered(process)
    if not (isinstance(version, str) and isinstance(conforming, str)):
        return None
    level = adapted.isolation_level
    if level is not None and not adapted.autocommit:
        isolation = await _confirmed(connection, level.replace("_", " "))
    return Answers(version, schema, isolation if isinstance(isolation, str) else None, conforming)


async def _confirmed(connection: Any, level: str) -> str | None:
    """Return ``level`` if transactions can begin in it and say so themselves, else ``None``.

    Some forks answer with a level that was not requested, and a hot standby refuses SERIALIZABLE.
    """
    try:
        await connection.execute(_CONFIRM.format(upper=level.upper(), lower=level))
    except Exception:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
        return None
    return level
