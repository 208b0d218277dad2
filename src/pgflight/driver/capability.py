"""Which names of asyncpg this process may use, decided when this module is imported."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import asyncpg

LEVELS = ("auto", "private", "public")

PRIVATE_NAMES: tuple[tuple[str, str], ...] = (
    ("Connection", "_protocol"),
    ("Connection", "_stmts_to_close"),
    ("Connection", "_transport"),
    ("Connection", "_drop_local_statement_cache"),
    ("Connection", "_get_unique_id"),
    ("PreparedStatement", "_state"),
    ("PreparedStatement", "_check_conn_validity"),
    ("PreparedStatementState", "name"),
    ("Protocol", "_is_cancelling"),
    ("Protocol", "bind_execute"),
    ("Protocol", "execute"),
    ("Protocol", "get_settings"),
)
"""(class, attribute) pairs of asyncpg that level ``private`` needs."""


PIPELINE_NAMES: tuple[tuple[str, str], ...] = (
    ("Connection", "_config"),
    ("Connection", "_listeners"),
    ("Connection", "_loop"),
    ("Connection", "_query_loggers"),
    ("Connection", "_top_xact"),
    ("Protocol", "_on_waiter_completed"),
    ("Protocol", "_wait_for_cancellation"),
    ("Protocol", "close_portal"),
    ("Protocol", "data_received"),
    ("Protocol", "is_in_transaction"),
    ("Protocol", "queries_count"),
    ("Protocol", "query"),
    ("Transaction", "_state"),
    ("TransactionState", "ROLLEDBACK"),
    ("TransactionState", "STARTED"),
)
"""Pairs that the pipeline needs as well; where one is missing, only the pipeline is off."""


class Capabilities(NamedTuple):
    """What this process may use of asyncpg, and why."""

    level: str
    """``public`` or ``private``."""
    reason: str
    missing: tuple[str, ...]
    """Private names that this asyncpg lacks, as ``Class.attribute``."""


class PipelineCapability(NamedTuple):
    """Whether BEGIN may travel with the first statement, and why."""

    possible: bool
    reason: str


def _missing_names(names: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    classes: dict[str, Any] = {"Connection": asyncpg.connection.Connection}
    for name, module in (
        ("PreparedStatement", "prepared_stmt"),
        ("Protocol", "protocol"),
        ("Transaction", "transaction"),
        ("TransactionState", "transaction"),
    ):
        classes[name] = getattr(getattr(asyncpg, module, None), name, None)
    inner = getattr(getattr(asyncpg, "protocol", None), "protocol", None)
    classes["PreparedStatementState"] = getattr(inner, "PreparedStatementState", None)
    return tuple(
        f"{owner}.{attribute}"
        for owner, attribute in names
        if not hasattr(classes[owner], attribute)
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
        raise ImportError(f"PGFLIGHT_DRIVER=private cannot be served: {lacks}; set it to auto")
    return Capabilities("public", lacks, missing)


def _choose_pipeline(chosen: Capabilities, missing: tuple[str, ...]) -> PipelineCapability:
    if chosen.level != "private":
        return PipelineCapability(False, f"driver level {chosen.level}")
    if missing:
        lacks = f"asyncpg {asyncpg.__version__} lacks {', '.join(missing)}"
        return PipelineCapability(False, lacks)
    return PipelineCapability(True, f"all names found in asyncpg {asyncpg.__version__}")


_chosen = _choose(os.environ.get("PGFLIGHT_DRIVER") or "auto", _missing_names(PRIVATE_NAMES))
_pipeline = _choose_pipeline(_chosen, _missing_names(PIPELINE_NAMES))


def capabilities() -> Capabilities:
    """Return the level chosen when this module was imported, with its reason."""
    return _chosen


def is_private() -> bool:
    """Tell whether names inside asyncpg may be used."""
    return _chosen.level == "private"


def pipeline_capability() -> PipelineCapability:
    """Return whether the pipeline was found possible when this module was imported, and why."""
    return _pipeline


def can_pipeline() -> bool:
    """Tell whether this process can save the waits of a unit of work."""
    return _pipeline.possible


def pipelines(connection: Any) -> bool:
    """Tell whether the waits of ``connection`` can be saved: it is asyncpg's own."""
    # by its class: asyncpg has the proxies of its own pools pass for connections, too
    return _pipeline.possible and issubclass(type(connection), asyncpg.Connection)
