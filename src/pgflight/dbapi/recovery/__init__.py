"""What becomes of connections after a failure: closed, drained and kept, replaced, or avoided.

Used by the DBAPI's connections and cursors, and by the dialect for its pool.
"""
