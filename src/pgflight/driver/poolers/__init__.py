"""Connection poolers in front of the server: how they are found, and what is done behind one.

A pooler in transaction mode gives a client another server session for each transaction, so nothing
that a session keeps may be relied on.  :mod:`pgflight.driver.poolers.route` knows what a connection
leads to, :mod:`~pgflight.driver.poolers.proof` finds out, and
:mod:`~pgflight.driver.poolers.described` executes statements that have no name.  Used by the
session and the pipeline.
"""

from __future__ import annotations
