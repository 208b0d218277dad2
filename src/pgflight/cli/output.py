"""The files that a command writes at its end: looked at before it begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pgflight.cli.target import CommandError

if TYPE_CHECKING:
    from rich.console import Console


def check_writable(path: Path | None) -> None:
    """Raise CommandError for a file that could not be written after the run; None is no file."""
    if path is None:
        return
    directory = path.absolute().parent
    if not directory.is_dir():
        raise CommandError(f"{path} cannot be written: create {directory} first")
    if path.is_dir() or not os.access(path if path.exists() else directory, os.W_OK):
        raise CommandError(f"{path} cannot be written: name another file")


def write(path: Path, content: str, console: Console) -> None:
    """Write the file and say so; CommandError if that fails."""
    try:
        path.write_text(content, "utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    console.print(f"wrote {path}", highlight=False, markup=False)
