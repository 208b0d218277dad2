"""One asyncpg connection and all that is known about it.

The unit of work, prepared statements, codecs, counters, and the turn, which says who may use it
now.  Used by :mod:`pgflight.dbapi`.  Nothing here knows about cursors, and only this room writes
the state that it keeps.
"""
