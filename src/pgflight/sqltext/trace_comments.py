"""Statements that carry the trace they belong to in a comment, so that no two texts are the same.

OpenTelemetry's ``enable_commenter`` and sqlcommenter write such a comment behind the statement,
Datadog's in front of it; the key ``traceparent`` is W3C's.  What the server makes of a statement
does not depend on the comment, but pgflight sends it as it is.
"""

from __future__ import annotations

import re

_KEY = "traceparent="
_APART = "\0traced\0"
"""No statement begins like this: the server takes no NUL."""
_UNCAST = re.compile(r"(?<!CAST\()\$\d+(?!\d|::)")


def cache_key(operation: str) -> str:
    """Return what a statement is kept by: its text, without the comment that has its trace."""
    if operation.endswith("*/"):
        start = operation.rfind("/*")
        if start > 0 and operation.find(_KEY, start) > 0:
            return _APART + operation[:start]
    if operation.startswith("/*"):
        end = operation.find("*/")
        # comments nest, so that another beginning means that this is not the end
        if operation.find(_KEY, 2, end) > 0 and operation.find("/*", 2, end) < 0:
            return _APART + operation[end:]
    return operation


def is_traced(operation: str) -> bool:
    """Tell whether a statement has a comment with its trace, at its beginning or at its end."""
    return _KEY in operation and cache_key(operation) is not operation


def casts_all_parameters(operation: str) -> bool:
    """Tell whether a statement's parameters have the same types whatever its tables are.

    Where one is not cast, the server chooses its type by a column, which another process may
    change.
    """
    return _UNCAST.search(operation) is None
