"""PEP 249 over asyncpg: module, connection, cursors, errors, and their synchronous form.

SQLAlchemy's engine and pool call it through the dialect.  It knows nothing of compiled statements,
and leaves what is known about the connection to :mod:`pgflight.session`.
"""
