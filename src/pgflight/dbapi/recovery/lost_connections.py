"""Going on with a new connection of the pool where the first statement met one that was lost.

Used by the cursors.  The pool makes the connection as it does for one that it found lost at
checkout: with its events, and in the same place of the pool.
"""

from __future__ import annotations

from typing import Any

from ...compat import capability, connections
from ...compat.features import Feature
from ...session.recovery.lost_connection import BEGUN, LOST, USED, is_lost, may_run_again

_CAN_RECONNECT = capability.has(Feature.RECONNECTING)


def goes_on(cursor: Any, operation: str, error: Exception) -> bool:
    """Give ``cursor`` a new connection if its operation may be executed again on one.

    Tell whether it did.  Called for each error, of the operation that raised it.
    """
    adapted: Any = cursor._adapt_connection
    session = adapted.session
    transactions = session.transactions
    begun, transactions.use = transactions.use == BEGUN, USED
    if (
        not begun
        or not _CAN_RECONNECT
        or not is_lost(session.connection, error, leaving=session.liveness.is_leaving())
        or not may_run_again(operation, error, autocommit=transactions.autocommit)
        or not adapted._can_wait()
    ):
        return False
    new = _replaced(adapted, error)
    if new is None:
        return False
    cursor._adapt_connection = new
    cursor._connection = new.session.connection
    new.session.counters.heal(LOST)
    return True


def _replaced(adapted: Any, error: Exception) -> Any:
    """Have the pool connect anew in the place of a lost connection; None if it cannot."""
    session = adapted.session
    record = session.ends.pool_entry()
    proxy = connections.proxy_of_record(record)
    if proxy is None or proxy.dbapi_connection is not adapted:
        return None
    at_return = [each for each in record.finalize_callback if each != session.ends.close_left_open]
    try:
        record.invalidate(error)
        new = record.get_connection()
        if type(new) is not type(adapted):
            raise TypeError("the pool's creator has made a connection of another class")
        proxy.dbapi_connection = new
        # as at the first checkout: how to begin, and what is undone when it goes back
        new.session.transactions.characteristics.take_over(session.transactions.characteristics)
        record.finalize_callback.extend(at_return)
        connections.pool_of_proxy(proxy).dispatch.checkout(new, record, proxy)
    except BaseException as failure:
        # half set up, or refused: nobody is to use it, and the error that led here is raised
        proxy.dbapi_connection = adapted
        record.invalidate(failure)
        if not isinstance(failure, Exception):
            raise
        return None
    new.session.transactions.use = USED  # not a second time
    return new
