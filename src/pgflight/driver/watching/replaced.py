"""Telling whether an attribute of one of asyncpg's classes is still asyncpg's own, and whose it is.

Looked at is what the class stores, not what it returns: wrappers made by wrapt return, and compare
equal to, what they wrap.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    WrapperDescriptorType,
)
from typing import Any

_BUILTIN = (BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType)
_CYTHON = "cython_function_or_method"

WRAPPER = "_self_wrapper"
"""Where wrapt's objects have the function that they call."""

_codes: dict[FunctionType, Any] = {}
"""The code of each of asyncpg's functions when it was first seen: some tools replace just that."""


def stored(cls: type, name: str) -> Any:
    """Return what ``cls`` stores under ``name``, None if nothing."""
    for each in cls.__mro__:
        found = each.__dict__.get(name)
        if found is not None:
            return found
    return None


def replaced(cls: type, names: Iterable[str]) -> dict[str, str]:
    """Return those of the methods ``names`` that are not asyncpg's own, and who made each."""
    found = {name: stored(cls, name) for name in names}
    return {
        name: maker(value)
        for name, value in found.items()
        if value is not None and not is_own(value)
    }


def codes_are_unchanged() -> bool:
    """Tell whether each of asyncpg's functions still has the code with which it was first seen."""
    for function, code in list(_codes.items()):  # another thread may add one
        if function.__code__ is not code:
            return False
    return True


def is_own(value: Any) -> bool:
    """Tell whether a function or a class is asyncpg's own, unchanged."""
    kind = type(value)
    if kind is FunctionType:
        module, inner = value.__globals__.get("__name__"), value.__dict__.get("__wrapped__")
        # asyncpg wraps some of its methods itself, and makes a context manager of one
        by_asyncpg = _is_asyncpg(module) or (module == "contextlib" and inner is not None)
        return (
            by_asyncpg
            and value.__code__ is _codes.setdefault(value, value.__code__)
            and (inner is None or is_own(inner))
        )
    if kind in _BUILTIN:
        return True
    if issubclass(kind, type):
        return _is_asyncpg(value.__module__)
    return kind.__name__ == _CYTHON and _is_asyncpg(getattr(value, "__module__", None))


def _is_asyncpg(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == "asyncpg"


def maker(value: object) -> str:
    """Return the name of the module, or of the class, that a replacement comes from."""
    try:
        made = value if type(value) is FunctionType else getattr(value, WRAPPER, value)
        function = made.__func__ if type(made) is MethodType else made
        if type(function) is FunctionType:
            module = function.__globals__.get("__name__")
            if _is_asyncpg(module):
                return "a replaced __code__"
            return str(module) if module else "a function of no module"
    except Exception:
        pass  # wrappers of wrappers may raise anything
    return name_of(value if issubclass(type(value), type) else type(value))


def name_of(cls: Any) -> str:
    """Return the full name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"
