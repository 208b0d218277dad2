"""JSON text to values: what json.loads does, by the standard library's own scanner.

pgflight.session.codecs makes a decoder per type and connection, through pgflight._impl. The
compiled form (jsondecode_c.pyx) is a parser of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def _proven_scanner(decoder: Any) -> Callable[[str, int], tuple[Any, int]] | None:
    """Return the scanner of json.loads' own `decoder`, None unless all is as in today's CPython.

    A json.loads that was replaced before this import is recognised by its globals: those of the
    original are the json module's own.
    """
    if getattr(json.loads, "__globals__", None) is not vars(json):
        return None
    scanner: Any = getattr(decoder, "scan_once", None)
    try:
        proven = scanner('[{"a": 1}, 2.5, null] ', 0) == ([{"a": 1}, 2.5, None], 21)
    except Exception:
        return None
    return scanner if proven else None


_json: Any = json
_standard_loads = json.loads
_standard_decoder = getattr(json, "_default_decoder", None)
_scan = _proven_scanner(_standard_decoder)


def loads(text: str) -> Any:
    """Return the value of the JSON document `text`: what json.loads returns or raises.

    If the scanner takes the whole text, that is the result. In doubtful cases (blanks around it,
    extra data, a syntax error, a replaced json.loads or default decoder) json.loads itself is
    called, and its errors are raised without a trace of the first attempt.
    """
    if (
        _scan is not None
        and type(text) is str
        and _json.loads is _standard_loads
        and _json._default_decoder is _standard_decoder
    ):
        try:
            scanned = _scan(text, 0)
            if scanned[1] == len(text):
                return scanned[0]
        except Exception:
            pass
    return json.loads(text)


def json_decoder(
    deserializer: Callable[[Any], Any] | None, *, takes_bytes: bool, prefix: int
) -> Callable[[bytes], Any]:
    """Return a function from the server's bytes to a value.

    The first `prefix` bytes (1 for jsonb's version, 0 for json) are dropped. `deserializer` gets
    the rest as bytes when `takes_bytes`, else as text; None stands for json.loads. Bytes that are
    not UTF-8 raise UnicodeDecodeError. ValueError for another `prefix`.
    """
    if prefix not in (0, 1):
        raise ValueError(f"prefix={prefix!r}: use 1 for jsonb, 0 for json")

    if deserializer is None:

        def decode_standard(data: bytes) -> Any:
            return loads(_rest(data, prefix).decode())

        return decode_standard

    if takes_bytes:

        def decode_bytes(data: bytes) -> Any:
            return deserializer(_rest(data, prefix))

        return decode_bytes

    def decode_text(data: bytes) -> Any:
        return deserializer(_rest(data, prefix).decode())

    return decode_text


def _rest(data: object, start: int) -> bytes:
    """Return `data` without its first `start` bytes; TypeError when it is not bytes."""
    if type(data) is not bytes:
        raise TypeError(f"a JSON decoder takes bytes, not {type(data).__name__}")
    return data[start:] if start else data
