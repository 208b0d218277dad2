"""Installs the dialect when it is imported: ``import fastpg.auto`` or ``pytest -p fastpg.auto``."""

from __future__ import annotations

from . import install

install()
