"""PEP 249 over asyncpg: module, connection, cursors, errors, and their synchronous form.

SQLAlchemy's engine and pool call it by way of the dialect.  It knows no compiled statement, and
what is known of the connection stands in :mod:`pgflight.session`.
"""
