"""What the server takes as a channel and as a payload, checked before anything is sent."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import ArgumentError

LONGEST_CHANNEL = 63
"""Bytes of a name (``NAMEDATALEN`` - 1): LISTEN silently cuts off what is longer."""
LONGEST_PAYLOAD = 7999
"""Bytes of a payload: the server refuses 8000 and more."""


def checked_channel(channel: Any) -> str:
    """Return the name of a channel as it is; raise ArgumentError if the server cannot have it."""
    name, size = _text(channel, "a channel")
    if not size:
        raise ArgumentError("the name of a channel cannot be empty")
    if size > LONGEST_CHANNEL:
        raise ArgumentError(
            f"the channel {name!r} has {size} bytes, and the server would cut its name off after "
            f"{LONGEST_CHANNEL}: choose a shorter one"
        )
    return name


def checked_channels(channels: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the names of channels, each once; raise ArgumentError."""
    if not channels:
        raise ArgumentError("listen() takes the channels to listen to: listen(engine, 'jobs')")
    return tuple(dict.fromkeys(map(checked_channel, channels)))


def checked_payload(payload: Any) -> str:
    """Return a payload as it is; raise ArgumentError if the server would refuse it."""
    text, size = _text(payload, "a payload")
    if size > LONGEST_PAYLOAD:
        raise ArgumentError(
            f"a payload has {LONGEST_PAYLOAD} bytes at most, and this one has {size}: store it in "
            "a table and send its key"
        )
    return text


def _text(value: Any, what: str) -> tuple[str, int]:
    """Return a text and its length in bytes."""
    if not isinstance(value, str):
        raise ArgumentError(f"{what} is a str, not {type(value).__name__}")
    if "\0" in value:
        raise ArgumentError(f"{what} cannot contain a NUL character: the server would end it there")
    try:
        return value, len(value.encode())
    except UnicodeEncodeError:
        raise ArgumentError(f"{what} contains a surrogate, which is no character") from None
