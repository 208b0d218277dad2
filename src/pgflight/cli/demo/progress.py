"""Show the progress of the demonstration: a bar on a terminal, one line per pass elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

if TYPE_CHECKING:
    from rich.console import Console

    from pgflight.cli.demo.comparison import Plan


class Progress:
    """The Listener that `demo` hands to compare()."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._bar = RichProgress(
            TextColumn("{task.description:60}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._what = ""
        self._task = self._bar.add_task("", total=plan.passes * len(plan.steps))

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, what: str) -> None:
        """Show the name of the pass that starts."""
        self._what = what
        self._bar.update(self._task, description=what)
        if not self._console.is_terminal:
            self._console.print(what, highlight=False)

    def advance(self, step: str) -> None:
        """Count a finished step."""
        self._bar.update(self._task, advance=1, description=f"{self._what}, {step} done")
