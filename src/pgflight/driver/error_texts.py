"""Facts that only the wording of asyncpg's errors tells, read in one place.

A new asyncpg may change the wording, so tests/parity/test_error_texts.py provokes each from the
real one.  Such a change does no harm: the functions return false or change nothing, and the error
is raised as it came.
"""

from __future__ import annotations

import re

from asyncpg import exceptions as driver_errors

_BUSY_PROTOCOL = "cannot switch to state"
_CLOSED = "connection is closed"
_POOL_HINT = re.compile(r"\s*NOTE: pgbouncer with .*asyncpg connection object\.\s*", re.DOTALL)
_OUR_HINT = (
    "Behind a connection pooler in transaction mode, such as pgbouncer, give pooler=transaction in"
    " the URL, in connect_args or to create_async_engine()."
)
_ELEMENT = re.compile(r"(?<=in element #)\d+(?= of executemany)")


def refused_value(error: object) -> bool:
    """Tell whether asyncpg could not encode a value, and so sent nothing.

    Judged by a missing field, not by the text: the class is one of the server's errors, which
    always have a severity.
    """
    return isinstance(error, driver_errors.DataError) and getattr(error, "severity", 0) is None


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
