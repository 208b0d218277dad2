"""The number of times that an engine's DDL may have made prepared statements stale."""

from __future__ import annotations


class SchemaGeneration:
    """A number that grows whenever an engine's DDL may have made cached statements stale.

    One object per engine; connections compare the number with the one they last saw.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def advance(self) -> None:
        """Make every connection of the engine drop its caches before its next statement."""
        self.number += 1
