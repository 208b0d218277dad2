"""Handing arrays to asyncpg in a form that costs it less.

Used by :mod:`pgflight.driver.execution` at the moment when a statement is sent; nobody else sees
that form.  Whether the installed asyncpg sends the same bytes for it is tried once in each process.
"""
