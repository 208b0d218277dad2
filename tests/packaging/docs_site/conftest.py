"""Collected only where the site's packages are: `PGFLIGHT_DOCS_PYTHON` names that interpreter.

There a missing package is a failure. `.ci/run docs` makes the environment, with the extra `docs`.
"""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("PGFLIGHT_DOCS_PYTHON") else ["test_*.py"]
