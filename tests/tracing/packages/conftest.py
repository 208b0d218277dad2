"""Collected only where tracers are installed: `PGFLIGHT_TRACING_PYTHON` names that interpreter.

There a missing package is a failure. `.ci/run tracers` makes the environment, with the extra
`tracing`.
"""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("PGFLIGHT_TRACING_PYTHON") else ["test_*.py"]
