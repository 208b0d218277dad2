"""What a statement is called where many are counted: its text without values, and a digest of it.

As ``pg_stat_statements`` does, constants and parameters become ``?``, and so does a list of them
whatever its length; comments and white space do not count, nor does the case of names that are not
quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b

from .side_effects import NotUnderstood, tokens

_VALUE = "?"
_CAST = r"(?:\s*::\s*[\w\[\]]+)?"
_LIST = re.compile(rf"\?{_CAST}(?:\s*,\s*\?{_CAST})+")
_ROWS = re.compile(r"(\(\s*\?[^()]*\))(?:\s*,\s*\(\s*\?[^()]*\))+")
# 1.5, 1e5, 0xff and 1_000 come as several tokens
_NUMBER = re.compile(r"\?(?: \. \?| (?:e[0-9_]+|x[0-9a-f_]+|[ob][0-7_]+|_[0-9_]+)\b)+")
_TIGHT = re.compile(r"\s*(::|\.|\[|\])\s*|(?<=\()\s+|\s+(?=[),;])")
_DIGEST_BYTES = 8
_LONGEST_TEXT = 200_000
"""Characters that are looked at: a text of thousands of rows is longer."""


def without_values(text: str) -> str:
    """Return a statement without its constants, parameters and comments; a long one cut off.

    Where the text is not understood, it ends in "…": what comes there may be a value.
    """
    found = " ".join(_parts(text[:_LONGEST_TEXT]))
    found = _TIGHT.sub(lambda match: match.group(1) or "", _NUMBER.sub(_VALUE, found))
    return _ROWS.sub(r"\1", _LIST.sub(f"{_VALUE}, …", found))


def _parts(text: str) -> Iterator[str]:
    try:
        for kind, found in tokens(text):
            if kind == "values":  # several, and the comma behind them
                yield f"{_VALUE} {found}"
            else:
                yield _VALUE if kind in ("literal", "value") else found
    except NotUnderstood:
        yield "…"


def digest(statement: str) -> str:
    """Return 16 hexadecimal digits that are the same for the same statement without values."""
    return blake2b(statement.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()
