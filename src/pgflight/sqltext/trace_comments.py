"""Statements that carry the trace they belong to in a comment, so that no two texts are the same.

OpenTelemetry's ``enable_commenter`` and sqlcommenter write such a comment behind the statement,
Datadog's in front of it; the key ``traceparent`` is W3C's.  What the server makes of a statement
does not depend on the comment, but pgflight sends it as it is.
"""

from __future__ import annotations

import re

_APART = "\0traced\0"
"""No statement begins like this: the server takes no NUL."""
# Pairs as sqlcommenter writes them.  Its quotes come in pairs, and nothing between ends a line or a
# literal: so at the end of a statement this is a comment.  Had it begun within a literal, a quoted
# name or another comment, that would have no end, and the server refuses such a statement.
_PAIR = r"""[\w.%-]+='[^'"$*\\\s]*'"""
_COMMENT = rf"/\*[ ]*(?=[^*]*traceparent='){_PAIR}(?:,[ ]*{_PAIR})*[ ]*\*/"
_IN_FRONT = re.compile(_COMMENT)
_BEHIND = re.compile(rf"{_COMMENT}\Z")
_UNCAST = re.compile(r"(?<!CAST\()\$\d+(?!\d|::)")


def cache_key(operation: str) -> str:
    """Return what a statement is kept by: its text, without the comment that has its trace.

    Two texts with the same key are the same statement to the server.
    """
    if operation.endswith("*/"):
        start = operation.rfind("/*")
        if start > 0 and _BEHIND.match(operation, start):
            return _APART + operation[:start]
    if operation.startswith("/*") and (found := _IN_FRONT.match(operation)):
        return _APART + operation[found.end() :]
    return operation


def is_traced(operation: str) -> bool:
    """Tell whether a statement has a comment with its trace, at its beginning or at its end."""
    return cache_key(operation) is not operation


def casts_all_parameters(operation: str) -> bool:
    """Tell whether a statement's parameters have the same types whatever its tables are.

    Where one is not cast, the server chooses its type by a column, which another process may
    change.
    """
    return _UNCAST.search(operation) is None
