"""Facts that only the wording of asyncpg's errors tells, read in one place.

A new asyncpg may change the wording, so tests/parity/test_error_texts.py provokes each from the
real one.  Such a change does no harm: the functions return false or change nothing, and the error
is raised as it came.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from asyncpg import exceptions as driver_errors

_BUSY_PROTOCOL = "cannot switch to state"
_CLOSED = "connection is closed"
_POOL_HINT = re.compile(r"\s*NOTE: pgbouncer with .*asyncpg connection object\.\s*", re.DOTALL)
_OUR_HINT = (
    "Behind a connection pooler in transaction mode, such as pgbouncer, give pooler=transaction in"
    " the URL, in connect_args or to create_async_engine()."
)
_NEVER_OF_PRINTING = (
    *(driver_errors.PostgresError, driver_errors.InterfaceError),
    *(OSError, asyncio.TimeoutError),
)
_ELEMENT = re.compile(r"(?<=in element #)\d+(?= of executemany)")


def server_severity(error: object) -> str | None:
    """Return ERROR, FATAL or PANIC, as the server said, None for an error that is not the server's.

    In English, where the server tells it so; all of ours do (PostgreSQL 9.6).
    """
    return getattr(error, "severity_en", None) or getattr(error, "severity", None)


def refused_value(error: object) -> bool:
    """Tell whether asyncpg could not encode a value, and so sent nothing.

    Judged by a missing field, not by the text: the class is one of the server's errors, which
    always have a severity.
    """
    return isinstance(error, driver_errors.DataError) and server_severity(error) is None


def refusal(error: Exception, sets: Sequence[Sequence[Any]], *, many: bool = False) -> Exception:
    """Return asyncpg's DataError about a value that it refused and then failed to print.

    It raises what the value's repr() has raised: ValueError for an int of more digits than Python
    prints.  Nothing was sent.  ``sets`` are the arguments, of which only those with such a repr()
    are looked at; any other error is returned as it is.
    """
    reason = error.__context__
    if reason is None or isinstance(error, _NEVER_OF_PRINTING):
        return error
    unprintable = (
        (f"${place}" + (f" in element #{number} of executemany() sequence" if many else ""), value)
        for number, values in enumerate(sets)
        for place, value in enumerate(values, 1)
        if _cannot_be_printed(value, error)
    )
    found = list(islice(unprintable, 3))
    if not found:
        return error
    places = " or ".join(place for place, _ in found)
    refused: Exception = driver_errors.DataError(
        f"invalid input for query argument {places}: {shown(found[0][1])} ({reason})"
    )
    refused.__cause__ = reason
    return refused


def _cannot_be_printed(value: Any, error: Exception) -> bool:
    """Tell whether printing ``value`` raises what ``error`` is.

    The traceback tells less: Cython keeps one function's name per line number for all the files
    of asyncpg's protocol.
    """
    try:
        repr(value)
    except Exception as raised:
        return type(raised) is type(error) and str(raised) == str(error)
    return False


def shown(value: Any) -> str:
    """Return a value as asyncpg's errors show it, its class where it has no text."""
    try:
        text = repr(value)
    except Exception:  # an int of more digits than Python prints
        return type(value).__name__
    return text if len(text) <= 40 else f"{text[:40]}..."


def count_elements_from(text: str, start: int) -> str:
    """Return an error's text about ``executemany()`` with ``start`` added to an element's number.

    The first element is number 0.
    """
    return _ELEMENT.sub(lambda match: str(int(match[0]) + start), text)


def with_our_pool_hint(text: str) -> str:
    """Return an error's text with asyncpg's hint about pgbouncer replaced by the option of ours."""
    if "pgbouncer" not in text:
        return text
    kept, hints = _POOL_HINT.subn("", text)
    return f"{kept}  {_OUR_HINT}" if hints else text


def says_protocol_is_busy(error: driver_errors.InternalClientError) -> bool:
    """Tell whether asyncpg's protocol refuses to begin an operation in its present state."""
    return _BUSY_PROTOCOL in str(error)


def says_connection_is_closed(error: object) -> bool:
    """Tell whether one of asyncpg's errors, or ours made from it, reports a closed connection."""
    return _CLOSED in str(error)
