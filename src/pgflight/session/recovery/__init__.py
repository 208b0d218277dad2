"""What a session does after a failure: doubtful transactions, stale statements, lost ones.

Used by the session's transactions.
"""
