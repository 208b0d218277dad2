"""Passwords that are held and not shown.  Used by this room and by the login in ``dbapi/``."""

from __future__ import annotations


class Secret:
    """A password that nothing shows: not its repr(), nor a tracer that collects local variables.

    Called, it returns the text; asyncpg calls a password that is not text when it logs in.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self) -> str:
        """Return the password."""
        return self._text

    def contains(self, part: str) -> bool:
        """Tell whether ``part`` is in it."""
        return part in self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return self._text == (other() if isinstance(other, Secret) else other)

    def __hash__(self) -> int:
        return hash(self._text)
