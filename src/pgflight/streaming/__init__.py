"""Rows of one statement, read in batches and handed out one by one: :func:`pgflight.stream`.

:mod:`stream` is what the program iterates over, :mod:`source` the execution behind it,
:mod:`cursor` the server-side cursor that reads ahead.
"""
