"""Reading the server's messages before asyncpg does, and keeping some from it.

A screen is called by the receiver with all bytes that come, and returns those that asyncpg gets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..._contracts import Receiver
from ..sender import message

_HEADER = 5
_ASYNCHRONOUS = b"NSA"  # NoticeResponse, ParameterStatus, NotificationResponse: at any moment


class Screen(ABC):
    """Sees the server's messages one by one, until it is done with them."""

    __slots__ = ("_receiver", "_part", "_done", "following")

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._part = b""
        self._done = False
        self.following: Screen | None = None
        """The screen that sees what comes once this one is done."""

    def install(self) -> None:
        """See what comes from now on, in place of any other screen."""
        self._receiver.screen = self

    def install_behind(self, other: Screen | None) -> None:
        """See what comes once ``other`` is done."""
        if other is None:
            self.install()
            return
        while other.following is not None:
            other = other.following
        other.following = self

    def remove(self) -> None:
        """See nothing any more."""
        self._done = True
        if self._receiver.screen is self:
            self._receiver.screen = self.following

    @abstractmethod
    def passes(self, kind: bytes, whole: bytes) -> bool:
        """Tell whether asyncpg gets a message; call :meth:`remove` after the last to be seen."""

    def __call__(self, data: bytes) -> bytes:
        """Return what asyncpg gets of ``data``; part of a message waits for the rest of it."""
        if self._part:
            data, self._part = self._part + data, b""
        passed: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self._done:
            end = at + 1 + int.from_bytes(data[at + 1 : at + _HEADER], "big")
            if size - at < _HEADER or end > size:
                self._part = data[at:]
                return b"".join(passed)
            kind, whole = data[at : at + 1], data[at:end]
            if kind in _ASYNCHRONOUS or self.passes(kind, whole):
                passed.append(whole)
            at = end
        rest = data[at:]
        if self._done and self.following is not None:
            rest = self.following(rest)
        passed.append(rest)
        return b"".join(passed)


def parse_message(text: str, types: tuple[int, ...] = ()) -> bytes:
    """Return Parse of an unnamed statement whose parameters have the types ``types``."""
    numbers = b"".join(each.to_bytes(4, "big") for each in types)
    return message(b"P", b"\0" + text.encode() + b"\0" + len(types).to_bytes(2, "big") + numbers)


DESCRIBE = message(b"D", b"S\0")
"""Describe of the unnamed statement."""
