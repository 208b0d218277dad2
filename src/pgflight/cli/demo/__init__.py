"""The demonstration: the same work on the built-in dialect and on pgflight, compared.

`python -m pgflight demo` and `tools/demo.py` call :mod:`pgflight.cli.demo.command`.
Uses the extra `demo`; nothing outside this folder imports it.
"""
