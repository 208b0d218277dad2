"""Show how far `bench` has come: a bar on a terminal, a line for each unit of work elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from rich.console import Console

    from pgflight.cli.bench.measuring import Advance


@contextmanager
def slices(console: Console, total: int) -> Iterator[Advance]:
    """Yield what is to be called after each of `total` slices."""
    bar = Progress(
        TextColumn("{task.description:45}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    task = bar.add_task("", total=total)
    said: list[str] = []

    def advance(unit: str, what: str) -> None:
        bar.update(task, advance=1, description=f"{unit}, {what}")
        if not console.is_terminal and unit not in said[-1:]:
            said.append(unit)
            console.print(f"Measuring: {unit} ...", highlight=False)

    with bar:
        yield advance
