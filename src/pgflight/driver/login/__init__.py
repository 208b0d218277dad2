"""A login of asyncpg's as it goes on: where it stands, how long a host may take, what it is asked.

Called by the DBAPI's login; asyncpg is given the event loop of this folder for that time.  Nothing
here knows a password.
"""

from __future__ import annotations
