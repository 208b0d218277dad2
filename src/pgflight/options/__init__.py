"""Options of the URL and of `connect_args`: one table, read once, checked as early as possible.

Called by the dialect when an engine is made, and by the DBAPI for each connection.  Nothing here
opens a connection.
"""
