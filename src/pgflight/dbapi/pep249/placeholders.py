"""``%s`` and ``%(name)s`` of a program's text -> the ``$1`` that PostgreSQL knows.

Used by the cursors.  Nothing is ever written into the text: values travel beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..errors import ProgrammingError

Parameters = Sequence[Any] | Mapping[str, Any]

_PLACEHOLDER = re.compile(r"%(?:(?P<simple>[%s])|\((?P<name>[^)]*)\)s|(?P<wrong>.?))", re.DOTALL)
_PART_OF_WORD = re.compile(r"[\w$]")


class Template:
    """A text with ``$1``, ``$2`` ..., and what its parameters are taken by.

    ``names`` has one name per number where the placeholders have names, else it is None.
    ``number`` is that of positional placeholders, None where the text has no placeholder at all:
    it may be written with ``$1``, and the server counts.
    """

    __slots__ = ("text", "names", "number")

    def __init__(self, text: str, names: tuple[str, ...] | None, number: int | None) -> None:
        self.text = text
        self.names = names
        self.number = number

    def arguments(self, parameters: Parameters) -> Sequence[Any]:
        """Return the values in the order of their numbers; raise ProgrammingError, TypeError."""
        if self.names is not None:
            if not isinstance(parameters, Mapping):
                raise ProgrammingError("the placeholders have names: pass a dict")
            try:
                return [parameters[name] for name in self.names]
            except KeyError as error:
                raise ProgrammingError(f"there is no parameter {error}") from None
        if isinstance(parameters, Mapping):
            if self.number is None and not parameters:
                return ()
            raise ProgrammingError("the parameters have names, the placeholders have none")
        if isinstance(parameters, (str, bytes, bytearray)):
            raise ProgrammingError("parameters are a sequence of values: write (value,)")
        values = parameters if isinstance(parameters, (tuple, list)) else tuple(parameters)
        if self.number is not None and len(values) != self.number:
            raise ProgrammingError(
                f"the statement has {self.number} placeholders, and {len(values)} parameters came"
            )
        return values


_LONGEST_KEPT = 10_000
"""Characters of a text whose template is kept."""


def template(operation: str) -> Template:
    """Return the template of a text that comes with parameters.

    ``%%`` is a percent sign.  Raises ProgrammingError for other uses of ``%``, and for texts with
    placeholders of both kinds.
    """
    return _made(operation) if len(operation) > _LONGEST_KEPT else _kept(operation)


def _made(operation: str) -> Template:
    numbers: dict[str, int] = {}
    positions = 0

    def numbered(found: re.Match[str]) -> str:
        nonlocal positions
        name = found["name"]
        if found["simple"] == "%":
            return "%"
        if found["simple"] == "s":
            positions += 1
            number = positions
        elif name is not None:
            number = numbers.setdefault(name, len(numbers) + 1)
        else:
            raise ProgrammingError(
                f"%{found['wrong']} is no placeholder: write %s, %(name)s, or %% for a percent sign"
            )
        # next to a word, `$1` would be a part of it or another number
        before = " " if _PART_OF_WORD.match(operation[found.start() - 1 : found.start()]) else ""
        after = " " if _PART_OF_WORD.match(operation[found.end() : found.end() + 1]) else ""
        return f"{before}${number}{after}"

    text = _PLACEHOLDER.sub(numbered, operation)
    if positions and numbers:
        raise ProgrammingError("the statement mixes %s and %(name)s")
    return Template(text, tuple(numbers) or None, positions or None)


_kept = lru_cache(maxsize=512)(_made)
