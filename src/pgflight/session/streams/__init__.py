"""What streams have of a session besides its turn: cursors that outlive a transaction, reads ahead.

Owned by the session; used by the cursors of :mod:`pgflight.dbapi` and by :mod:`pgflight.streaming`.
"""
