"""The SQL types of the dialect; :mod:`pgflight.dialect.type_map` maps SQLAlchemy's types to them.

Most only ask for a cast: asyncpg sends parameters in binary form, so the server has to be told
each one's type in the statement itself (``$1::INTEGER``).  Value conversions live in
:mod:`pgflight.dialect.conversions`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc
from sqlalchemy.dialects.postgresql.types import PGUuid
from sqlalchemy.engine import Dialect, processors
from sqlalchemy.sql import sqltypes

from ..compat import sql_types
from ..compat.builtin import theirs
from . import conversions

NUMERIC_OIDS = frozenset({1231, 1700})
"""numeric and its array."""
FLOAT_OIDS = frozenset({700, 701, 1021, 1022})
"""real, double precision and their arrays."""
INTEGER_OIDS = frozenset({20, 21, 23, 26, 1005, 1007, 1016})
"""bigint, smallint, integer, oid and arrays of the first three."""


class AsyncpgARRAY(theirs.AsyncpgARRAY):  # type: ignore[misc]
    """An array; asyncpg takes and returns nested lists."""

    render_bind_cast = True


class AsyncpgString(theirs.AsyncpgString):  # type: ignore[misc]
    """Character data as ``str``."""

    render_bind_cast = True


class AsyncpgCHAR(theirs.AsyncpgCHAR):  # type: ignore[misc]
    """Blank-padded character data as ``str``."""

    render_bind_cast = True


class AsyncpgREGCONFIG(theirs.AsyncpgREGCONFIG):  # type: ignore[misc]
    """The name of a text search configuration."""

    render_bind_cast = True


class AsyncpgREGCLASS(theirs.AsyncpgREGCLASS):  # type: ignore[misc]
    """The name of a relation."""

    render_bind_cast = True


class AsyncpgOID(theirs.AsyncpgOID):  # type: ignore[misc]
    """An object identifier as ``int``."""

    render_bind_cast = True


class AsyncpgBit(theirs.AsyncpgBit):  # type: ignore[misc]
    """A bit string: ``str`` of 0 and 1 in; on SQLAlchemy 2.1 a ``BitString`` out."""

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return the function from ``str`` or ``BitString`` to asyncpg's bit string."""
        return conversions.bit_to_driver

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return the function to SQLAlchemy's ``BitString``, ``None`` where it has none."""
        return conversions.bit_from_driver


class AsyncpgByteA(theirs.AsyncpgByteA):  # type: ignore[misc]
    """Binary data as ``bytes``."""

    render_bind_cast = True


class AsyncpgDate(theirs.AsyncpgDate):  # type: ignore[misc]
    """A calendar date as ``datetime.date``."""

    render_bind_cast = True


class AsyncpgTime(theirs.AsyncpgTime):  # type: ignore[misc]
    """A time of day as ``datetime.time``."""

    render_bind_cast = True


class AsyncpgDateTime(theirs.AsyncpgDateTime):  # type: ignore[misc]
    """A point in time as ``datetime.datetime``, with a time zone where the column has one."""

    render_bind_cast = True


class AsyncPgInterval(theirs.AsyncPgInterval):  # type: ignore[misc]
    """A span of time as ``datetime.timedelta``."""

    render_bind_cast = True

    @classmethod
    def adapt_emulated_to_native(cls, interval: Any, **kw: Any) -> AsyncPgInterval:
        """Return the native type for a generic ``Interval``, keeping its precision."""
        return cls(precision=interval.second_precision)


class AsyncpgBoolean(theirs.AsyncpgBoolean):  # type: ignore[misc]
    """A truth value as ``bool``."""

    render_bind_cast = True


class AsyncPgEnum(theirs.AsyncPgEnum):  # type: ignore[misc]
    """A PostgreSQL ENUM, cast to its type's name."""

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return the function from a member, or its name, to the name on the server."""
        convert = super().bind_processor(dialect)
        if convert is None or sqltypes.String.bind_processor(self, dialect) is not None:
            return convert
        return conversions.looked_up(convert, self, sql_types.enum_names)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return the function from the name on the server to a member."""
        convert = super().result_processor(dialect, coltype)
        if convert is None or sqltypes.String.result_processor(self, dialect, coltype) is not None:
            return convert
        return conversions.looked_up(convert, self, sql_types.enum_members)


class AsyncpgInteger(theirs.AsyncpgInteger):  # type: ignore[misc]
    """A 32-bit integer as ``int``."""

    render_bind_cast = True


class AsyncpgSmallInteger(theirs.AsyncpgSmallInteger):  # type: ignore[misc]
    """A 16-bit integer as ``int``."""

    render_bind_cast = True


class AsyncpgBigInteger(theirs.AsyncpgBigInteger):  # type: ignore[misc]
    """A 64-bit integer as ``int``."""

    render_bind_cast = True


class AsyncpgUUID(PGUuid):  # type: ignore[type-arg]
    """A UUID as ``uuid.UUID``, or as text with ``as_uuid=False``."""

    render_bind_cast = True
    render_literal_cast = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return the function to text where text is asked for; asyncpg's UUID needs none."""
        if self.native_uuid and dialect.supports_native_uuid:
            return None if self.as_uuid else conversions.uuid_text
        return super().result_processor(dialect, coltype)  # type: ignore[no-untyped-call]


class _Documents:
    """Documents that the connection's codec decodes, and which are serialized here."""

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return the function to text: SQLAlchemy's, in one piece where json.dumps serializes."""
        fused = conversions.json_binder(self, dialect)
        return super().bind_processor(dialect) if fused is None else fused  # type: ignore[misc]

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return ``None``: the value is a Python object already."""
        return None

    def literal_processor(self, dialect: Dialect) -> Any:
        """Return the function to a SQL literal; a serializer may return bytes."""
        return conversions.json_literal(self, dialect)


class AsyncpgJSON(_Documents, theirs.AsyncpgJSON):  # type: ignore[misc]
    """json; decoded by the connection's codec (``json_deserializer``), so never again here."""


class AsyncpgJSONB(_Documents, theirs.AsyncpgJSONB):  # type: ignore[misc]
    """jsonb; decoded by the connection's codec (``json_deserializer``), so never again here."""


class AsyncpgJSONIndexType(theirs.AsyncpgJSONIndexType):  # type: ignore[misc]
    """The key or position in ``column[...]`` when its kind is not known at compile time."""


class AsyncpgJSONIntIndexType(theirs.AsyncpgJSONIntIndexType):  # type: ignore[misc]
    """A position in a JSON array."""

    __visit_name__ = "json_int_index"
    render_bind_cast = True


class AsyncpgJSONStrIndexType(theirs.AsyncpgJSONStrIndexType):  # type: ignore[misc]
    """A key of a JSON object."""

    __visit_name__ = "json_str_index"
    render_bind_cast = True


class AsyncpgJSONPathType(theirs.AsyncpgJSONPathType):  # type: ignore[misc]
    """A path into a JSON document: a list of keys and positions, or a path expression."""

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return the function to asyncpg's list of strings."""
        return conversions.json_path_to_driver


class _Numbers:
    """Numbers in the form that the column asks for: ``Decimal`` or ``float``."""

    render_bind_cast = True
    asdecimal: bool

    def bind_processor(self, dialect: Dialect) -> Any:
        return None  # asyncpg takes int, float and Decimal for each of them

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        if coltype in FLOAT_OIDS:
            if not self.asdecimal:
                return None
            scale = sql_types.decimal_scale(self)
            return processors.to_decimal_processor_factory(conversions.Decimal, scale)
        if coltype in NUMERIC_OIDS or coltype in INTEGER_OIDS:
            return None if self.asdecimal else processors.to_float
        raise exc.InvalidRequestError(  # the first words are those that programs look for
            f"Unknown PG numeric type: {coltype}; declare the column with the type that it has"
        )


class AsyncpgNumeric(_Numbers, theirs.AsyncpgNumeric):  # type: ignore[misc]
    """An exact number as ``decimal.Decimal`` (``float`` with ``asdecimal=False``)."""


class AsyncpgFloat(_Numbers, theirs.AsyncpgFloat):  # type: ignore[misc]
    """A floating-point number as ``float`` (``decimal.Decimal`` with ``asdecimal=True``)."""


class _AsyncpgRange(theirs._AsyncpgRange):  # type: ignore[misc]
    """A range as SQLAlchemy's ``Range``."""

    def bind_processor(self, dialect: Dialect) -> Any:
        return conversions.range_to_driver

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return conversions.range_from_driver


class _AsyncpgMultiRange(theirs._AsyncpgMultiRange):  # type: ignore[misc]
    """A multirange as SQLAlchemy's ``MultiRange``, a list of ``Range``."""

    def bind_processor(self, dialect: Dialect) -> Any:
        return conversions.multirange_to_driver

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return conversions.multirange_from_driver
