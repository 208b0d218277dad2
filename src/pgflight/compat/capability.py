"""Which private names this SQLAlchemy has, decided when this module is imported.

A feature asks :func:`has` once, at import; `doctor` prints :func:`reports`.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

import sqlalchemy

from . import builtin, known_code
from .features import INSTEAD, Feature
from .private_names import OURS, PRIVATE_NAMES, PrivateName
from .versions import SQLALCHEMY_VERSION


class Report(NamedTuple):
    """A feature that steps aside."""

    feature: str
    lacking: tuple[str, ...]
    """What it needs and SQLAlchemy lacks: names, or code that is known."""
    instead: str
    """What happens without it."""


LOOKED_FOR: tuple[PrivateName, ...] = tuple(
    name
    for name in PRIVATE_NAMES
    if name.use != OURS and name.lines[0] <= SQLALCHEMY_VERSION < name.lines[1]
)
"""The names that this line of SQLAlchemy should have."""


def is_there(owner: object, attribute: str) -> bool:
    """Tell whether a class or module has ``attribute``, or its code sets it on instances.

    For a function: whether its code sets ``attribute``, or has it as text.
    """
    return hasattr(owner, attribute) or any(
        _names(code, attribute) for code in _codes_of(owner) if attribute in _words(code)
    )


def _codes_of(owner: object) -> Iterator[CodeType]:
    functions = [owner]
    if isinstance(owner, type):
        functions = [value for cls in owner.__mro__ for value in vars(cls).values()]
    for function in functions:
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if isinstance(code, CodeType):
            yield from _nested(code)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _words(code: CodeType) -> tuple[Any, ...]:
    return (*code.co_names, *code.co_consts)


def _names(code: CodeType, attribute: str) -> bool:
    """Tell whether code that contains the word sets the attribute, or has it as text."""
    return attribute in code.co_consts or any(
        instruction.opname == "STORE_ATTR" and instruction.argval == attribute
        for instruction in dis.get_instructions(code)
    )


_missing = tuple(name for name in LOOKED_FOR if not is_there(name.owner, name.attribute))
_unknown: dict[Feature, str] = {
    feature: f"known code in {what}"
    for feature, what, known in (
        (
            Feature.PARAMETERS,
            "DefaultExecutionContext._init_compiled",
            known_code.context_is_known(),
        ),
        (
            Feature.IN_LISTS,
            "SQLCompiler._process_parameters_for_postcompile",
            known_code.expansion_is_known(),
        ),
        (Feature.BATCHES, "_InsertManyValuesBatch", known_code.batch_is_known()),
    )
    if not known
}


def missing() -> tuple[str, ...]:
    """Return the private names that this SQLAlchemy lacks, as ``Class.attribute``."""
    return tuple(map(str, _missing))


def found(name: str) -> bool:
    """Tell whether SQLAlchemy has ``name``, a ``Class.attribute`` from the table."""
    if name not in map(str, LOOKED_FOR):
        raise LookupError(f"{name} is not in the table of private names")
    return name not in missing()


def has(feature: Feature) -> bool:
    """Tell whether SQLAlchemy has every name that ``feature`` needs, and code that we know."""
    return not any(name.needed_by & feature for name in _missing) and feature not in _unknown


def reports() -> list[Report]:
    """Return the features that step aside in this process."""
    found = []
    for feature, (what, instead) in INSTEAD.items():
        names = [str(name) for name in _missing if name.needed_by & feature]
        lacking = (*names, *([_unknown[feature]] if feature in _unknown and not names else ()))
        if lacking:
            found.append(Report(what, lacking, instead))
    if builtin.without():
        found.append(
            Report(
                "derivation from the built-in dialect's classes of these names",
                builtin.without(),
                "isinstance() with them is false, and patches of them have no effect",
            )
        )
    return found


def summary() -> str:
    """Return a short text that says how many of the names were found."""
    found = len(LOOKED_FOR) - len(_missing)
    return f"{found} of {len(LOOKED_FOR)} found in SQLAlchemy {sqlalchemy.__version__}"
