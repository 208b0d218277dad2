"""How a transaction ends: waited for, or answered in the server's place and checked later.

Used by the pipeline and the session.
"""
