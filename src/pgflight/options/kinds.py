"""What an option's value may look like: one small kind per type.

Used by :mod:`pgflight.options.table`.

A kind converts what a person wrote (text in a URL, any object in ``connect_args``) to the value
that the rest of pgflight works with.  A value that is already converted is returned unchanged, so
a value may pass through its kind twice.
"""

from __future__ import annotations

import json
import math
import operator
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .secret import Secret

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""libpq's sslmode values, weakest first."""

_TRUE = frozenset({"true", "on", "yes", "1", "t", "y"})
_FALSE = frozenset({"false", "off", "no", "0", "f", "n"})


class Refusal(Exception):
    """A value that is understood but not supported; the text says why, and what to do."""


@dataclass(frozen=True)
class Kind:
    """A type of value: how to say what is expected, and how to get there.

    ``convert`` raises ValueError or TypeError for a value that makes no sense, and
    :class:`Refusal` for one that makes sense but is not supported.
    """

    expects: str
    convert: Callable[[Any], Any]
    example: str = ""


_NUL = "a NUL character would end it, and what follows be taken for something else"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    if "\0" in value:
        raise Refusal(_NUL)
    return value


def _password(value: object) -> Any:
    if isinstance(value, Secret) or not callable(value):
        return _key_password(value)
    return value


def _key_password(value: object) -> Any:
    if not isinstance(value, Secret):
        return _text(value)
    if value.contains("\0"):
        raise Refusal(_NUL)
    return value


def _dsn(value: object) -> Any:
    hidden = value if isinstance(value, Secret) else Secret(str(value))
    if hidden.contains("\0") or hidden.contains("%00"):
        raise Refusal(_NUL)
    return value


def _path(value: Any) -> str:
    path = os.fspath(value)
    if not isinstance(path, str) or not path:
        raise TypeError
    return path


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, (str, int)) else ""
    if word not in _TRUE and word not in _FALSE:
        raise ValueError
    return word in _TRUE


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return int(value) if isinstance(value, str) else operator.index(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError
    number = float(value) if isinstance(value, str) else value
    if not math.isfinite(number):
        raise ValueError
    return number


def _seconds(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError
    return number


class PerHost(float):
    """A number of seconds for each host, as libpq counts ``connect_timeout``."""


def _patience(value: object) -> float | None:
    number = _number(value)
    return PerHost(number) if number > 0 else None


def _lifetime(value: object) -> float:
    number = _number(value)
    if number < 0:
        raise ValueError
    return number


def _settings(value: object) -> dict[str, str]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise TypeError
    return {_text(name): _text(_setting(setting)) for name, setting in found.items()}


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, (str, int, float)):
        raise TypeError
    return str(value)


def _mode(value: object) -> str:
    # asyncpg has an enumeration of the modes, and takes verify_full for verify-full
    word = value.name if isinstance(value, Enum) else _text(value)
    mode = word.replace("_", "-")
    if mode not in SSL_MODES:
        raise ValueError
    return mode


def _ssl(value: object) -> bool | str | ssl.SSLContext:
    if isinstance(value, (bool, ssl.SSLContext)):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    return _mode(value)


def _hosts(value: Any) -> str | list[str]:
    return _text(value) if isinstance(value, str) else [_text(host) for host in value]


def _ports(value: object) -> int | list[int]:
    if isinstance(value, (list, tuple)):
        return [_port(port) for port in value]
    return _port(value)


def _port(value: object) -> int:
    port = _whole(value)
    if not 0 < port < 65536:
        raise ValueError
    return port


def _threshold(value: object) -> int:
    if value is None or (isinstance(value, str) and value.lower() in ("none", "off")):
        return 0
    number = _whole(value)
    if number < 0:
        raise ValueError
    return number


def _callable(value: object) -> Callable[..., Any]:
    if not callable(value):
        raise TypeError
    found: Callable[..., Any] = value
    return found


TEXT = Kind("text", _text)
PASSWORD = Kind("text, or a callable or async callable that returns it", _password)
KEY_PASSWORD = Kind("text", _key_password)
DSN = Kind("a libpq URI", _dsn)
PATH = Kind("the path of a file", _path, "/path/to/file")
FLAG = Kind("true or false", _flag, "true")
SECONDS = Kind("a number of seconds greater than 0", _seconds, "30")
PATIENCE = Kind("a number of seconds, 0 to wait forever", _patience, "10")
LIFETIME = Kind("a number of seconds, 0 for no limit", _lifetime, "300")
WINDOW = Kind("a number of seconds, 0 to ping at every checkout", _lifetime, "0.5")
THRESHOLD = Kind("a number of elements, 0 or none for never", _threshold, "10")
SETTINGS = Kind(
    "names and values of server settings (in a URL: as a JSON object)",
    _settings,
    '{"jit": "off"}',
)
SSL_MODE = Kind(f"one of {', '.join(SSL_MODES)}", _mode, "verify-full")
SSL = Kind(
    f"true, false, {', '.join(SSL_MODES)}, or in connect_args an ssl.SSLContext",
    _ssl,
    "verify-full",
)
HOSTS = Kind("a host name, address or socket directory, or a list of them", _hosts)
PORTS = Kind("a port number between 1 and 65535, or a list of them", _ports, "5432")
CALLABLE = Kind("a callable", _callable)
ANYTHING = Kind("anything", lambda value: value)


def whole(minimum: int = 0, *, example: int) -> Kind:
    """Return the kind of whole numbers from ``minimum`` up."""

    def convert(value: object) -> int:
        number = _whole(value)
        if number < minimum:
            raise ValueError
        return number

    return Kind(f"a whole number, {minimum} or more", convert, str(example))


def choice(
    *words: str,
    refused: Mapping[str, str] | None = None,
    synonyms: Mapping[str, str] | None = None,
) -> Kind:
    """Return the kind of a fixed set of words, compared without regard to case.

    ``refused`` maps words that libpq knows and asyncpg cannot serve to the reason and the fix;
    ``synonyms`` maps other spellings to one of ``words``.
    """
    known = {word.lower(): word for word in words}
    known.update((other, word) for other, word in (synonyms or {}).items())
    no = refused or {}

    def convert(value: object) -> str:
        if isinstance(value, Enum):
            value = value.value
        # programs pass True and 1, people write words
        word = str(int(value)) if isinstance(value, (bool, int)) else _text(value)
        if word.lower() in no:
            raise Refusal(no[word.lower()])
        if word.lower() not in known:
            raise ValueError
        return known[word.lower()]

    shown: Sequence[str] = words
    return Kind(f"one of {', '.join(shown)}", convert, shown[0])


def impossible(reason: str) -> Kind:
    """Return the kind of an option that libpq has and asyncpg cannot serve with any value."""

    def convert(value: object) -> Any:
        raise Refusal(reason)

    return Kind("nothing", convert)
