"""One asyncpg connection and all that is known of it.

The unit of work, prepared statements, codecs, counters and the turn: who may use it now.  Used by
:mod:`pgflight.dbapi`.  Nothing here knows a cursor, and nobody outside writes what is kept here.
"""
