"""Seeing which statements of a running program take long.

:mod:`~pgflight.observing.slow_statements` listens to an engine's events, on any dialect; nothing of
it is on the way of a statement where nobody asks for it.
"""
