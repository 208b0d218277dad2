"""Warnings: their class, and whose line they are shown for."""

from __future__ import annotations

import inspect
import warnings

_NOT_THE_PROGRAM = frozenset({"pgflight", "sqlalchemy"})


class PgflightWarning(UserWarning):
    """Something that a program asks for has no effect, or will fail once it is used."""


PgflightWarning.__module__ = "pgflight"  # the name by which warning filters find it


def warn(message: str) -> None:
    """Warn about the line of the program that has led here."""
    level, frame = 1, inspect.currentframe()
    while (
        frame is not None
        and frame.f_back is not None
        and str(frame.f_globals.get("__name__")).partition(".")[0] in _NOT_THE_PROGRAM
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, PgflightWarning, stacklevel=level)
