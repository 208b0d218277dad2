"""Many rows as one statement: INSERT, UPDATE, DELETE and upserts through arrays.

The dialect and its execution context derive from the classes here; :mod:`pgflight.parameters` has
what is done for every execution.  Nothing here talks to asyncpg or changes a unit of work.
"""
