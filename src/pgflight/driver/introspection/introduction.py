"""Telling asyncpg, while a statement is being prepared, what the types are that it names.

The description of the statement is seen before asyncpg sees it.  What asyncpg knows by then, which
includes every codec that the program has set, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from ..._contracts import Receiver
from ..contracts import Settings
from ..poolers.described import BEGUN, PARSED, Listening
from ..poolers.proof import is_refusal
from .built_in import BUILT_IN, TypeRow, parts_of
from .question import read_type, types_of_columns, types_of_parameters, values_of

_DESCRIBED = PARSED + b"t"
_COLUMNS = 14
"""Of asyncpg's own question; the first is the type's number."""
_KIND = 2
"""Behind that: schema, name, kind."""


class Introduction(Listening):
    """Sees the answer to the question and the description, and what asyncpg asks after these.

    ``begins`` answers precede those, to BEGIN and settings.
    """

    __slots__ = (
        "asks",
        "answered",
        "named",
        "told",
        "missing",
        "lacking",
        "kinds",
        "_settings",
        "_begins",
        "_refused",
        "_rows",
        "_described",
        "_finished",
    )

    def __init__(self, receiver: Receiver, settings: Settings, begins: int) -> None:
        super().__init__(receiver)
        self._settings = settings
        self._begins = begins
        self._refused: Callable[[], None] | None = None
        self._rows: dict[int, TypeRow] = {}
        self._described = self._finished = False
        self.asks = False
        """Whether the answer to the question has still to come."""
        self.answered = False
        """Whether it has come."""
        self.named: set[int] = set()
        """The types of the statement's parameters and columns."""
        self.told: set[int] = set()
        """The types that asyncpg has been told of."""
        self.missing: set[int] = set()
        """Those of the statement that asyncpg asks for itself."""
        self.lacking: set[int] = set()
        """All types that were not known, those that ``missing`` consists of included."""
        self.kinds: set[bytes] = set()
        """The kinds of types that the server has described."""

    def expect(self, refused: Callable[[], None]) -> None:
        """Expect the answer to the question; call ``refused`` if the server does not know it."""
        self.asks, self._refused = True, refused

    def finish(self) -> None:
        """See nothing more, once the question is answered."""
        self._finished = True
        self._rows = {}
        if not self.asks and not self._part:
            self.remove()

    def __call__(self, data: bytes) -> bytes:
        """Return what asyncpg gets of ``data``."""
        if self.asks:
            return super().__call__(data)
        if self._finished:
            data, self._part = self._part + data, b""
            self.remove()
        elif not (self._part or self._described):
            # nearly always all of it, and nothing else: not looked at message by message
            start = len(BEGUN) if data.startswith(BEGUN) else 0
            if data.startswith(_DESCRIBED, start):
                start += len(PARSED)
                middle = start + 1 + int.from_bytes(data[start + 1 : start + 5], "big")
                size = 1 + int.from_bytes(data[middle + 1 : middle + 5], "big")
                if middle + size == len(data) and size >= 5 and data[middle] in b"Tn":
                    self.parameters, self.columns = data[start:middle], data[middle:]
                    self._introduce()
                    return data
        return super().__call__(data)

    def passes(self, kind: bytes, whole: bytes) -> bool:
        """Tell whether asyncpg gets a message, which it does but for the question's answer."""
        if self.asks:
            return self._answers(kind, whole)
        if self._described:
            if kind == b"D":
                self._overhear(whole)
        elif kind == b"t":
            self.parameters = whole
        elif kind in b"TnE":
            self.columns = whole
            if kind == b"E":
                self.remove()
            else:
                self._introduce()
        elif self._begins:
            self._begins -= kind == b"C"
        elif kind == b"2":
            self.remove()  # asyncpg executes a statement that it has prepared before
        return True

    def _answers(self, kind: bytes, whole: bytes) -> bool:
        if kind == b"E" or kind == b"Z":
            self.asks = False
            self.remove()
            # before the answer to BEGIN the error is BEGIN's
            if self._refused is not None and not self._begins and is_refusal(whole):
                self._refused()
            return True
        if kind == b"D":
            self._read(whole)
            return False
        if kind != b"C":
            return True
        # not counted: BEGIN may have been answered already, though the session does not know
        if not whole.startswith(b"SELECT", 5):
            self._begins = max(self._begins - 1, 0)
            return True
        self.asks, self.answered = False, True
        if self._finished:
            self.remove()
        return False

    def _read(self, whole: bytes) -> None:
        try:
            row = read_type(whole, self._decode)
        except ValueError:
            return  # asyncpg asks for the type itself
        self._rows[row["oid"]] = row
        self.kinds.add(row["kind"])

    def _decode(self, name: bytes) -> str:
        settings = self._settings
        return str(settings.get_text_codec().decode(name)[0])

    def _introduce(self) -> None:
        """Tell asyncpg of the types that the description names and that it does not know."""
        self._described = True
        self.named = named = set(types_of_parameters(self.parameters))
        if self.columns[:1] == b"T":
            named.update(types_of_columns(self.columns))
        find = self._settings.get_data_codec
        for each in named:
            if find(each) is None and not self._tell(each, ()):
                self.missing.add(each)
        if not self.missing:
            self.remove()

    def _tell(self, number: int, within: tuple[int, ...]) -> bool:
        """Tell asyncpg of a type and of what it consists of; tell whether it knows the type."""
        settings = self._settings
        if settings.get_data_codec(number) is not None:
            return True
        row = BUILT_IN.get(number) or self._rows.get(number)
        if row is None or number in within:
            self.lacking.add(number)
            return False
        known = [self._tell(part, (*within, number)) for part in parts_of(row)]
        if not all(known):  # each of them is to be noted
            return False
        try:
            settings.register_data_types([row])
        except Exception:
            # asyncpg does not support it, and says so when it has asked; or expects another form
            return False
        self.told.add(number)
        return settings.get_data_codec(number) is not None

    def _overhear(self, row: bytes) -> None:
        """Note a type that asyncpg has asked for."""
        number, *others = values_of(row)
        if number is not None and len(number) == 4 and len(others) == _COLUMNS - 1:
            each = int.from_bytes(number, "big")
            if self._settings.get_data_codec(each) is None:
                self.lacking.add(each)
                self.kinds.add(others[_KIND] or b"")
