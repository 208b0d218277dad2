"""Connection service files: options kept under a name outside the program.

:mod:`pgflight.options.url` calls :func:`service_options`.  asyncpg reads such a file only when it
is also given a DSN (found in 0.31 and 0.32: ``asyncpg.connect(service="x")`` ignores it), drops the
options that it does not know, and 0.30 has no support at all; so pgflight reads it itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy.exc import ArgumentError

from .hosts import ADDRESS_OPTIONS, addresses
from .suggestions import unknown_option
from .table import OPTIONS, Target

_NOT_IN_A_FILE = ("service", "servicefile")


def service_options(name: str, file: str | None) -> dict[str, Any]:
    """Return the options of service ``name``, coerced, under their own names.

    ``file`` is the file to read; without it PGSERVICEFILE, the user's file and the one in
    PGSYSCONFDIR are read, as by libpq.  Raises ArgumentError if there is no such service.
    """
    candidates = list(_files(file))
    for path in candidates:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentError(f"service file {str(path)!r} cannot be read: {error}") from error
        try:
            found = _section(name, path, lines)
        except ArgumentError as error:
            del lines  # with a password, perhaps, that a tracer would collect
            raise error.with_traceback(None) from None
        if found is not None:
            return found
    looked = ", ".join(repr(str(path)) for path in candidates) or "no file"
    raise ArgumentError(
        f"service {name!r} is not defined (looked in {looked}); add a section [{name}] there, or "
        "name the file with servicefile or PGSERVICEFILE"
    )


def _files(file: str | None) -> Iterator[Path]:
    chosen = file or os.environ.get("PGSERVICEFILE")
    if chosen:
        yield Path(chosen)
    elif sys.platform == "win32":
        if os.environ.get("APPDATA"):
            yield Path(os.environ["APPDATA"]) / "postgresql" / ".pg_service.conf"
    else:
        try:
            yield Path.home() / ".pg_service.conf"
        except RuntimeError:  # a user without a home
            pass
    if not file and os.environ.get("PGSYSCONFDIR"):
        yield Path(os.environ["PGSYSCONFDIR"]) / "pg_service.conf"


def _section(name: str, path: Path, lines: list[str]) -> dict[str, Any] | None:
    texts: dict[str, str] | None = None
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            if texts is not None:
                break
            if line == f"[{name}]":
                texts = {}
        elif texts is not None:
            key, equals, value = line.partition("=")
            place = f"in line {number} of service file {str(path)!r}"
            if not equals:
                word = line.split()[0]  # what follows may be a password
                shown = repr(word) if word in OPTIONS else "what stands"
                raise ArgumentError(f"{shown} {place} is not understood; write key=value")
            texts[_known(key.strip(), place)] = value.strip()
    return None if texts is None else _coerced(texts, f"in service {name!r} of {str(path)!r}")


def _known(key: str, place: str) -> str:
    option = OPTIONS.get(key)
    if option is None:
        raise unknown_option(key, place)
    if not option.from_url or option.target is Target.ENGINE or key in _NOT_IN_A_FILE:
        raise ArgumentError(f"{key!r} {place} does not belong in a service file; remove it")
    return key


def _coerced(texts: dict[str, str], place: str) -> dict[str, Any]:
    found: dict[str, Any] = dict(addresses(texts))
    for key, text in texts.items():
        if key not in ADDRESS_OPTIONS:
            option = OPTIONS[key]
            found[option.alias_of or key] = option.coerce(text, place)
    return found
