"""Which names of asyncpg this process may use, decided when this module is imported.

The tables below list every undocumented name of asyncpg that this folder uses, by the feature that
steps aside if one is missing; tests/unit/test_house_asyncpg.py compares them with the code.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import asyncpg

LEVELS = ("auto", "private", "public")
Names = tuple[tuple[str, str], ...]

PRIVATE_NAMES: Names = (
    ("Connection", "_protocol"),
    ("Connection", "_proxy"),
    ("Connection", "_stmts_to_close"),
    ("Connection", "_transport"),
    ("Connection", "_get_unique_id"),
    ("PreparedStatement", "_connection"),
    ("PreparedStatement", "_state"),
    ("PreparedStatement", "_check_conn_validity"),
    ("PreparedStatementState", "_get_parameters"),
    ("PreparedStatementState", "closed"),
    ("PreparedStatementState", "mark_closed"),
    ("PreparedStatementState", "name"),
    ("Protocol", "_is_cancelling"),
    ("Protocol", "bind_execute"),
    ("Protocol", "close_portal"),
    ("Protocol", "execute"),
)
"""(class, attribute) pairs of asyncpg that level ``private`` needs."""

PIPELINE_NAMES: Names = (
    ("Connection", "_config"),
    ("Connection", "_listeners"),
    ("Connection", "_log_listeners"),
    ("Connection", "_loop"),
    ("Connection", "_protocol"),
    ("Connection", "_query_loggers"),
    ("Connection", "_termination_listeners"),
    ("Connection", "_top_xact"),
    ("Connection", "_transport"),
    ("ConnectionConfig", "command_timeout"),
    ("ConnectionConfig", "statement_cache_size"),
    ("Protocol", "_is_cancelling"),
    ("Protocol", "_on_waiter_completed"),
    ("Protocol", "_wait_for_cancellation"),
    ("Protocol", "bind_execute"),
    ("Protocol", "close_portal"),
    ("Protocol", "data_received"),
    ("Protocol", "is_in_transaction"),
    ("Protocol", "queries_count"),
    ("Protocol", "query"),
    ("Transaction", "_state"),
    ("TransactionState", "ROLLEDBACK"),
    ("TransactionState", "STARTED"),
)
"""Pairs that the pipeline needs; if one is missing, only the pipeline is off."""

BOUND_NAMES: Names = (
    ("Connection", "_config"),
    ("ConnectionConfig", "command_timeout"),
)
"""Pairs that bounding one statement needs; if one is missing, its task is cancelled instead."""

COPY_NAMES: Names = (
    ("Connection", "_config"),
    ("Connection", "_protocol"),
    ("Connection", "_transport"),
    ("ConnectionConfig", "command_timeout"),
    ("ConnectionSettings", "get_data_codec"),
    ("PreparedStatement", "_state"),
    ("Protocol", "copy_in"),
    ("Protocol", "copy_out"),
    ("Protocol", "get_settings"),
    ("Protocol", "pause_writing"),
    ("Protocol", "resume_writing"),
)
"""Pairs that COPY needs; if one is missing, it uses asyncpg's documented methods."""

TYPE_NAMES: Names = (
    ("Connection", "_drop_local_statement_cache"),
    ("Connection", "_protocol"),
    ("Connection", "_stmt_cache"),
    ("ConnectionSettings", "add_python_codec"),
    ("ConnectionSettings", "get_data_codec"),
    ("ConnectionSettings", "get_text_codec"),
    ("ConnectionSettings", "register_data_types"),
    ("Protocol", "get_settings"),
)
"""Pairs that register types with asyncpg; if one is missing, it asks the server."""

POOLER_NAMES: Names = (
    ("Connection", "_config"),
    ("Connection", "_drop_local_statement_cache"),
    ("Connection", "_stmt_cache_enabled"),
    ("ConnectionConfig", "statement_cache_size"),
    ("ConnectionSettings", "get_data_codec"),
    ("PreparedStatement", "_check_conn_validity"),
    ("PreparedStatement", "_state"),
    ("PreparedStatementState", "mark_closed"),
    ("PreparedStatementState", "prepared"),
    ("Protocol", "bind_execute"),
    ("Protocol", "close_portal"),
    ("Protocol", "get_settings"),
    ("Protocol", "queries_count"),
)
"""Pairs that telling a pooler needs; if one is missing, only its errors tell."""

ARRAY_NAMES: Names = (
    ("ConnectionSettings", "add_python_codec"),
    ("ConnectionSettings", "register_data_types"),
    ("PreparedStatementState", "_init_codecs"),
    ("Protocol", "bind_execute"),
    ("Protocol", "connection_made"),
    ("Protocol", "data_received"),
    ("Protocol", "get_settings"),
    ("Protocol", "prepare"),
    ("Protocol", "set_connection"),
)
"""Pairs that finding out how asyncpg goes through arrays needs; else it is given plain lists."""

PARSING_NAMES: Names = (
    ("ConnectionParameters", "password"),
    ("ConnectionParameters", "target_session_attrs"),
    ("compat", "timeout"),
    ("connect_utils", "_can_use_connection"),
    ("connect_utils", "_connect"),
    ("connect_utils", "_connect_addr"),
    ("connect_utils", "_parse_connect_arguments"),
    ("connect_utils", "_parse_connect_dsn_and_args"),
)
"""Pairs that parsing the arguments of logins once needs; if one is missing, each is parsed."""

PARSED_VERSIONS = ("0.30.", "0.31.", "0.32.")
"""Versions of which is known what they read besides their arguments."""

VALUE_NAMES: Names = (("pgproto", "UUID"),)
"""Classes of values, also at level ``public``; without one, rows keyed by it are sent singly."""


class Capabilities(NamedTuple):
    """What this process may use of asyncpg, and why."""

    level: str
    """``public`` or ``private``."""
    reason: str
    missing: tuple[str, ...]
    """Private names that this asyncpg lacks, as ``Class.attribute``."""


class Capability(NamedTuple):
    """Whether a feature with names of its own is possible in this process, and why."""

    possible: bool
    reason: str


def _within(*path: str) -> Any:
    """Return the object at a path of names below asyncpg, None if there is none."""
    found: Any = asyncpg
    for name in path:
        found = getattr(found, name, None)
    return found


OWNERS: dict[str, Any] = {
    "Connection": asyncpg.connection.Connection,
    "ConnectionConfig": _within("connect_utils", "_ClientConfiguration"),
    "ConnectionParameters": _within("connect_utils", "_ConnectionParameters"),
    "ConnectionSettings": _within("protocol", "protocol", "ConnectionSettings"),
    "PreparedStatement": _within("prepared_stmt", "PreparedStatement"),
    "PreparedStatementState": _within("protocol", "protocol", "PreparedStatementState"),
    "Protocol": _within("protocol", "Protocol"),
    "Transaction": _within("transaction", "Transaction"),
    "TransactionState": _within("transaction", "TransactionState"),
    "compat": _within("compat"),
    "connect_utils": _within("connect_utils"),
    "pgproto": _within("pgproto", "pgproto"),
}
"""The classes (and modules) of asyncpg whose names are listed; None if one is missing."""


def _missing_names(names: Names) -> tuple[str, ...]:
    return tuple(
        f"{owner}.{attribute}"
        for owner, attribute in names
        if not hasattr(OWNERS[owner], attribute)
    )


def _choose(wanted: str, missing: tuple[str, ...]) -> Capabilities:
    if wanted not in LEVELS:
        raise ValueError(
            f"PGFLIGHT_DRIVER is {wanted!r}; set it to one of auto, private or public, or unset it"
        )
    if wanted == "public":
        return Capabilities("public", "PGFLIGHT_DRIVER=public asks for it", missing)
    if not missing:
        asked = "PGFLIGHT_DRIVER=private asks for it" if wanted == "private" else "all names found"
        return Capabilities("private", f"{asked} in asyncpg {asyncpg.__version__}", ())
    lacks = f"asyncpg {asyncpg.__version__} lacks {', '.join(missing)}"
    if wanted == "private":
        raise ImportError(f"PGFLIGHT_DRIVER=private is not possible: {lacks}; set it to auto")
    return Capabilities("public", lacks, missing)


def _choose_group(chosen: Capabilities, missing: tuple[str, ...]) -> Capability:
    if chosen.level != "private":
        return Capability(False, f"driver level {chosen.level}")
    if missing:
        return Capability(False, f"asyncpg {asyncpg.__version__} lacks {', '.join(missing)}")
    return Capability(True, f"all names found in asyncpg {asyncpg.__version__}")


_chosen = _choose(os.environ.get("PGFLIGHT_DRIVER") or "auto", _missing_names(PRIVATE_NAMES))
_pipeline = _choose_group(_chosen, _missing_names(PIPELINE_NAMES))
_bounds = _choose_group(_chosen, _missing_names(BOUND_NAMES))
_copy = _choose_group(_chosen, _missing_names(COPY_NAMES))
_types = _choose_group(_chosen, _missing_names(TYPE_NAMES))
_poolers = _choose_group(_chosen, _missing_names(POOLER_NAMES))
_arrays = _choose_group(_chosen, _missing_names(ARRAY_NAMES))
_parsing = _choose_group(_chosen, _missing_names(PARSING_NAMES))
if _parsing.possible and not asyncpg.__version__.startswith(PARSED_VERSIONS):
    _parsing = Capability(False, f"asyncpg {asyncpg.__version__} is not known to read the same")


def capabilities() -> Capabilities:
    """Return the level chosen when this module was imported, with its reason."""
    return _chosen


def is_private() -> bool:
    """Tell whether names inside asyncpg may be used."""
    return _chosen.level == "private"


def pipeline_capability() -> Capability:
    """Return whether the pipeline was found possible when this module was imported, and why."""
    return _pipeline


def can_pipeline() -> bool:
    """Tell whether this process can save the waits of a unit of work."""
    return _pipeline.possible


def can_bound() -> bool:
    """Tell whether asyncpg can be given another bound on the time of its operations."""
    return _bounds.possible


def can_copy() -> bool:
    """Tell whether COPY may use more than asyncpg's documented methods."""
    return _copy.possible and is_private()


def can_tell_types() -> bool:
    """Tell whether types can be registered with asyncpg without asking the server."""
    return _types.possible and is_private()


def can_tell_poolers() -> bool:
    """Tell whether a pooler can be found without a round trip, and spared asyncpg's statements."""
    return _poolers.possible and _pipeline.possible


def can_flatten_arrays() -> bool:
    """Tell whether it can be found out how asyncpg goes through arrays."""
    return _arrays.possible and is_private()


def can_parse_once() -> bool:
    """Tell whether asyncpg has to parse the same arguments only once."""
    return _parsing.possible


def stepped_aside() -> dict[str, str]:
    """Return the features that step aside though the level is ``private``, with the reasons."""
    groups = {
        "pipeline": _pipeline,
        "time bounds": _bounds,
        "COPY": _copy,
        "types": _types,
        "poolers": _poolers,
        "arrays": _arrays,
        "logins": _parsing,
    }
    found = {name: group.reason for name, group in groups.items() if not group.possible}
    return found if is_private() else {}


def pipelines(connection: Any) -> bool:
    """Tell whether the waits of ``connection`` can be saved, which takes one of asyncpg's own."""
    # checked by class: for isinstance() the proxies of asyncpg's pools are connections, too
    return _pipeline.possible and issubclass(type(connection), asyncpg.Connection)
