"""Values to JSON text: what json.dumps does, by the standard library's own encoder.

pgflight.dialect.types binds json and jsonb parameters with it and pgflight.session.codecs sends
them, through pgflight._impl.
The compiled form (jsonencode_c.pyx) is an encoder of its own.
"""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable
from typing import Any

_json: Any = json
_encoder_module: Any = json.encoder
_standard_dumps = json.dumps
_standard_encoder = getattr(json, "_default_encoder", None)
_standard_make = getattr(json.encoder, "c_make_encoder", None)


def _refuse(value: Any) -> Any:
    """Replace JSONEncoder.default: raise, so that json.dumps is called."""
    raise TypeError(type(value).__name__)


def _proven_encoder() -> Callable[[Any, int], tuple[str, ...]] | None:
    """Return an encoder equal to json.dumps, None unless all is as in today's CPython.

    json.dumps makes one for every call. This one does not remember the containers around a value: a
    circular value is a RecursionError here, and json.dumps' own error in the second attempt.
    """
    if getattr(json.dumps, "__globals__", None) is not vars(json) or _standard_make is None:
        return None
    quote = getattr(json.encoder, "encode_basestring_ascii", None)
    sample = {"é": [1, -2.5, None, True, "\n"], "b": {}}
    try:
        encoder: Any = _standard_make(None, _refuse, quote, None, ": ", ", ", False, False, True)
        proven = (
            "".join(encoder(sample, 0))
            == ('{"\\u00e9": [1, -2.5, null, true, "\\n"], "b": {}}')
            == json.dumps(sample)
        )
    except Exception:
        return None
    return encoder if proven else None


_encode = _proven_encoder()


def standard() -> bool:
    """Tell whether json.dumps is the standard library's own, which dumps() imitates."""
    return (
        _encode is not None
        and _json.dumps is _standard_dumps
        and _json._default_encoder is _standard_encoder
        and _encoder_module.c_make_encoder is _standard_make
    )


def dumps(value: Any) -> str:
    """Return the JSON document of `value`: what json.dumps returns or raises.

    In doubtful cases (an error, a replaced json.dumps or default encoder) json.dumps itself is
    called, and its errors are raised without a trace of the first attempt.
    """
    if standard():
        try:
            return "".join(_encode(value, 0))  # type: ignore[misc]
        except Exception:
            pass
    return json.dumps(value)


def json_binder(json_type: Any, null_type: type) -> Callable[[Any], str | None]:
    """Return the bind processor of SQLAlchemy's JSON type `json_type`, with json.dumps inside.

    `json_type.NULL` becomes JSON's null; SQL's NULL (None) stands for instances of `null_type`,
    and for None where `json_type.none_as_null` says so at that moment.
    """

    def process(value: Any) -> str | None:
        if value is json_type.NULL:
            value = None
        elif isinstance(value, null_type) or (value is None and json_type.none_as_null):
            return None
        return dumps(value)

    return process


def json_encoder(prefix: bytes) -> Callable[[str | bytes], bytes]:
    """Return a function from a serializer's result to the server's bytes.

    `prefix` is put in front: b"\\x01" for jsonb, b"" for json. The function raises TypeError for
    what is neither text nor bytes, UnicodeEncodeError for lone surrogates.
    """
    if not isinstance(prefix, bytes):
        raise TypeError(f"prefix={prefix!r}: use b'\\x01' for jsonb, b'' for json")

    def encode(document: str | bytes) -> bytes:
        if isinstance(document, str):
            return prefix + str.encode(document)
        if isinstance(document, bytes):
            return prefix + document
        raise TypeError(
            f"a JSON document is text or bytes, not {type(document).__name__}: "
            "json_serializer must return str or bytes"
        )

    return encode
