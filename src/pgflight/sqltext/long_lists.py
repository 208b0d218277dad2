"""Statements with a long IN list as one array, which PostgreSQL has to plan for its values.

From its sixth execution on, a prepared statement may get a generic plan: one for any array, which
PostgreSQL takes to have ten elements.  Such a plan compares each row with each element, where one
for given values looks them up in a hash table: measured 10.9 ms instead of 0.2 for 1,000 elements
and 2,000 rows, and the more elements, the sooner the server prefers it.  The list of separate
parameters that SQLAlchemy writes is never planned like that.

The compiler writes such a list in a form of its own, by which the session recognizes it.
"""

from __future__ import annotations

import re

LONG_FROM = 128
"""Number of elements from which a generic plan costs more than it saves, where it is a bad one."""

EXECUTIONS_PLANNED = 5
"""How many executions PostgreSQL plans for their values before it considers a generic plan."""

_LONG = re.compile(r"(?:= ANY|!= ALL) \(CAST\(\$\d+ AS ")


def short_array(parameter: str, array_type: str) -> str:
    """Return the text of a parameter that is a list of fewer elements."""
    return f"{parameter}::{array_type}"


def long_array(parameter: str, array_type: str) -> str:
    """Return the text of a parameter that is a long list; PostgreSQL takes it for ``::``."""
    return f"CAST({parameter} AS {array_type})"


def has_long_list(operation: str) -> bool:
    """Tell whether a statement has a list that :func:`long_array` has written."""
    return "(CAST($" in operation and _LONG.search(operation) is not None
