"""What a call does, in a form that compares exactly: types, float bits, order, errors."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any


def outcome(call: Callable[..., Any], *arguments: Any, messages: bool = False) -> tuple[Any, ...]:
    """Return the exact value of `call`, or the type of its error (with its text on request)."""
    try:
        value = call(*arguments)
    except Exception as error:
        told: tuple[Any, ...] = (str(error),) if messages else ()
        if messages and isinstance(error, json.JSONDecodeError):
            told = (*told, error.msg, error.doc, error.pos, error.lineno, error.colno)
        return ("error", type(error), *told)
    return ("value", exact(value))


def exact(value: Any) -> Any:
    """Return `value` with the type of every part beside it, and floats as their eight bytes."""
    if type(value) is float:
        return (float, struct.pack("!d", value))
    if type(value) in (list, tuple):
        return (type(value), [exact(item) for item in value])
    if type(value) is dict:
        return (dict, [(exact(key), exact(item)) for key, item in value.items()])
    return (type(value), value)
