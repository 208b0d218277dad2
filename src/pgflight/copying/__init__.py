"""COPY: rows into a table, rows or the server's own output out of one, and what both share.

Called only by :func:`pgflight.copy_in` and :func:`pgflight.copy_out`.  The dialect knows nothing
of this room.
"""
