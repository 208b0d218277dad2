"""SQLAlchemy type -> type of this dialect, and DBAPI type marker -> name of the PostgreSQL type.

Read by the dialect class.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import util
from sqlalchemy.dialects.postgresql import json as pg_json
from sqlalchemy.dialects.postgresql import ranges
from sqlalchemy.dialects.postgresql.base import (
    CITEXT,
    INTERVAL,
    OID,
    REGCLASS,
    REGCONFIG,
    PGDialect,
)
from sqlalchemy.dialects.postgresql.types import BIT
from sqlalchemy.sql import sqltypes

from ..dbapi.module import AsyncAdapt_asyncpg_dbapi as _dbapi
from . import types

COLSPECS: Any = util.update_copy(
    dict(PGDialect.colspecs),
    {
        sqltypes.String: types.AsyncpgString,
        sqltypes.ARRAY: types.AsyncpgARRAY,
        BIT: types.AsyncpgBit,
        CITEXT: CITEXT,
        REGCONFIG: types.AsyncpgREGCONFIG,
        sqltypes.Time: types.AsyncpgTime,
        sqltypes.Date: types.AsyncpgDate,
        sqltypes.DateTime: types.AsyncpgDateTime,
        sqltypes.Interval: types.AsyncPgInterval,
        INTERVAL: types.AsyncPgInterval,
        sqltypes.Boolean: types.AsyncpgBoolean,
        sqltypes.Integer: types.AsyncpgInteger,
        sqltypes.SmallInteger: types.AsyncpgSmallInteger,
        sqltypes.BigInteger: types.AsyncpgBigInteger,
        sqltypes.Numeric: types.AsyncpgNumeric,
        sqltypes.Float: types.AsyncpgFloat,
        sqltypes.Uuid: types.AsyncpgUUID,
        sqltypes.JSON: types.AsyncpgJSON,
        pg_json.JSONB: types.AsyncpgJSONB,
        sqltypes.LargeBinary: types.AsyncpgByteA,
        sqltypes.JSON.JSONPathType: types.AsyncpgJSONPathType,
        sqltypes.JSON.JSONIndexType: types.AsyncpgJSONIndexType,
        sqltypes.JSON.JSONIntIndexType: types.AsyncpgJSONIntIndexType,
        sqltypes.JSON.JSONStrIndexType: types.AsyncpgJSONStrIndexType,
        sqltypes.Enum: types.AsyncPgEnum,
        OID: types.AsyncpgOID,
        REGCLASS: types.AsyncpgREGCLASS,
        sqltypes.CHAR: types.AsyncpgCHAR,
        ranges.AbstractSingleRange: types._AsyncpgRange,
        ranges.AbstractMultiRange: types._AsyncpgMultiRange,
    },
)
"""SQLAlchemy type -> type of this dialect; the dialect's ``colspecs``."""

_pg_types: dict[Any, str] = {
    _dbapi.STRING: "varchar",
    _dbapi.TIMESTAMP: "timestamp",
    _dbapi.TIMESTAMP_W_TZ: "timestamp with time zone",
    _dbapi.DATE: "date",
    _dbapi.TIME: "time",
    _dbapi.INTERVAL: "interval",
    _dbapi.NUMBER: "numeric",
    _dbapi.FLOAT: "float",
    _dbapi.BOOLEAN: "bool",
    _dbapi.INTEGER: "integer",
    _dbapi.BIGINTEGER: "bigint",
    _dbapi.BYTES: "bytes",
    _dbapi.DECIMAL: "decimal",
    _dbapi.JSON: "json",
    _dbapi.JSONB: "jsonb",
    _dbapi.ENUM: "enum",
    _dbapi.UUID: "uuid",
    _dbapi.BYTEA: "bytea",
}
"""DBAPI type marker -> name of the PostgreSQL type."""
