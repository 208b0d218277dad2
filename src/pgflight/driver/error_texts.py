"""What asyncpg tells by the words of its errors alone, asked for in one place.

A new asyncpg may word them otherwise: tests/parity/test_error_texts.py provokes each from the real
one.  Until somebody notices, nobody is told anything wrong: the functions say no, or change
nothing, and the error is raised as it came.
"""

from __future__ import annotations

import re

from asyncpg import exceptions as driver_errors

_BUSY_PROTOCOL = "cannot switch to state"
_CLOSED = "connection is closed"
_ELEMENT = re.compile(r"(?<=in element #)\d+(?= of executemany)")


def refused_value(error: object) -> bool:
    """Tell whether asyncpg could not encode a value, and so has sent nothing.

    By what the error lacks, not by its text: it is of a class of the server's errors, which all
    come with a severity.
    """
    return isinstance(error, driver_errors.DataError) and getattr(error, "severity", 0) is None


def count_elements_from(text: str, start: int) -> str:
    """Return an error's text about ``executemany()`` with ``start`` added to an element's number.

    The first element is number 0.
    """
    return _ELEMENT.sub(lambda match: str(int(match[0]) + start), text)


def says_protocol_is_busy(error: driver_errors.InternalClientError) -> bool:
    """Tell whether asyncpg's protocol refuses to begin an operation in the state that it is in."""
    return _BUSY_PROTOCOL in str(error)


def says_connection_is_closed(error: object) -> bool:
    """Tell whether an error, or ours made of it, says that asyncpg's connection is closed."""
    return _CLOSED in str(error)
