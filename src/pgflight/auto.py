"""Installs the dialect on import: ``import pgflight.auto`` or ``pytest -p pgflight.auto``."""

from __future__ import annotations

from . import install

install()
