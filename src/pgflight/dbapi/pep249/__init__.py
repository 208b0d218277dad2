"""``pgflight.dbapi.connect()``: PEP 249 for programs without asyncio, threads included.

Its names are those of :mod:`pgflight.dbapi`, which loads this folder when the first one is used.
Each call runs in the process's event loop thread, on the adapted connection that SQLAlchemy gets,
too.  It adds placeholders, type objects and locks, and knows nothing of the wire.
"""
