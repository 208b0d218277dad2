"""`python -m pgflight doctor`: what is wrong with an environment, a URL or a server, and the fix.

`command` is the command line and its exit codes, `installation` looks at the environment, the
others at a server: `connecting`, `poolers`, `round_trips` and `server_checks` ask it, `refusals`
says what to do about its errors, and `settings` which options of the URL are worth changing.
Imported by `pgflight.__main__` only.
"""
