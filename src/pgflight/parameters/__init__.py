"""Turn a program's parameter sets into what asyncpg takes; IN lists of any length.

The execution context and the compiler derive from the classes here, and :mod:`pgflight.bulk` builds
on them.  Nothing here sends anything.
"""
