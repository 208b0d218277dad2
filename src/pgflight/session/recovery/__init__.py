"""What a session does after a failure: doubtful transactions, stale statements.

Used by the session's transactions.
"""
