"""A throw-away PostgreSQL server, and a proxy in front of one that counts round trips.

Used by the demonstration, the tests and the benchmarks.  Knows nothing of the dialect.
"""
