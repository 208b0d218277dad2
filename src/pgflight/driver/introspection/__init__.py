"""Telling asyncpg what types are, without the round trips of its own questions.

An engine remembers which types its statements have named, not what they are: that is asked anew,
in front of a statement that names them, and the answer comes in the same flight.
"""
