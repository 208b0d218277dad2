"""The one place that chooses between the compiled and the Python form of the hot paths.

The rooms above import the pieces from here, such as `_impl.rows`; pgflight itself
re-exports implementation(). The choice is made once, at import, for all pieces together.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any, Literal, NamedTuple, cast

from pgflight._contracts import (
    JsonDecode,
    JsonEncode,
    Params,
    Processors,
    Receiving,
    Results,
    Rows,
    Stacks,
    StmtCache,
    Tags,
    Uuids,
    ValueCodecs,
)

VARIABLE = "PGFLIGHT_IMPL"
PIECES = (
    "rows",
    "results",
    "receiving",
    "jsondecode",
    "jsonencode",
    "params",
    "processors",
    "stmtcache",
    "tags",
    "temporal",
    "numeric",
    "uuids",
    "stacks",
)


class Implementation(NamedTuple):
    """Which form runs, and why."""

    name: Literal["compiled", "python"]
    reason: str


def _load(suffix: str) -> dict[str, ModuleType]:
    """Import all pieces in one form: suffix "_c" is compiled, "" is Python."""
    return {
        piece: importlib.import_module(f"pgflight._speedups.{piece}{suffix}") for piece in PIECES
    }


def _choose(wanted: str) -> tuple[dict[str, ModuleType], Implementation]:
    """Return the modules and the choice for the value of PGFLIGHT_IMPL.

    ImportError when `wanted` is "compiled" and a module is missing, ValueError when it is none of
    the three values.
    """
    if wanted not in ("auto", "compiled", "python"):
        raise ValueError(f"{VARIABLE}={wanted!r} is not one of: auto, compiled, python")
    if wanted == "python":
        return _load(""), Implementation("python", f"{VARIABLE}=python asks for it")
    try:
        modules = _load("_c")
    except ImportError as error:
        if wanted == "compiled":
            raise ImportError(
                f"{VARIABLE}=compiled, but an extension cannot be imported: {error}; install a "
                f"pgflight wheel for this interpreter, or set {VARIABLE}=auto",
                name=error.name,
                path=error.path,
            ) from error
        return _load(""), Implementation("python", f"an extension cannot be imported: {error}")
    if wanted == "compiled":
        return modules, Implementation("compiled", f"{VARIABLE}=compiled asks for it")
    return modules, Implementation("compiled", "all extensions are importable")


# Set but empty means unset, as for the build switches.
_modules, _chosen = _choose(os.environ.get(VARIABLE) or "auto")

rows = cast(Rows, cast(Any, _modules["rows"]))
results = cast(Results, cast(Any, _modules["results"]))
receiving = cast(Receiving, cast(Any, _modules["receiving"]))
jsondecode = cast(JsonDecode, cast(Any, _modules["jsondecode"]))
jsonencode = cast(JsonEncode, cast(Any, _modules["jsonencode"]))
params = cast(Params, cast(Any, _modules["params"]))
processors = cast(Processors, cast(Any, _modules["processors"]))
stmtcache = cast(StmtCache, cast(Any, _modules["stmtcache"]))
tags = cast(Tags, cast(Any, _modules["tags"]))
temporal = cast(ValueCodecs, cast(Any, _modules["temporal"]))
numeric = cast(ValueCodecs, cast(Any, _modules["numeric"]))
uuids = cast(Uuids, cast(Any, _modules["uuids"]))
stacks = cast(Stacks, cast(Any, _modules["stacks"]))


def implementation() -> Implementation:
    """Return the form in use and the reason for it."""
    return _chosen
