"""The prepared statements of one session: cache, descriptions, invalidation by generation.

Used by the session, the cursors and the dialect.
"""
