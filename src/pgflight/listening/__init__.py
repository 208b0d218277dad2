"""LISTEN and NOTIFY: :func:`pgflight.listen` and :func:`pgflight.notify`.

:mod:`listener` is what a program iterates over, :mod:`keeping` the task that keeps a connection to
the server, :mod:`connecting` how that is made, :mod:`queue` what waits to be read; :mod:`names`
checks channels and payloads, :mod:`notifying` sends.  :mod:`public` has the exported functions.
"""
