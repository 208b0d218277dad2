"""The JSON documents of the benchmarks and gates: text as PostgreSQL sends jsonb, and values."""

from __future__ import annotations

import json
import random
from typing import Any

_random = random.Random(20)


def _text(value: Any) -> str:
    """Return a document in the server's spelling, which writes characters as they are."""
    return json.dumps(value, ensure_ascii=False)


SMALL = '{"id": 12345, "name": "somebody", "t": [1]}'
MEDIUM = _text(
    {
        "id": 48213,
        "uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "active": True,
        "score": 87.25,
        "tags": ["alpha", "beta", "gamma"],
        "owner": {"id": 7, "name": "Somebody Else", "email": "somebody@example.org", "boss": None},
        "positions": [
            {"sku": f"A-{number:04}", "quantity": number, "price": number * 1.25, "taxed": True}
            for number in range(1, 6)
        ],
        "created": "2026-01-31T12:30:00+00:00",
        "notes": None,
        "sizes": [1, 2, 3, 5, 8, 13, 21, 34],
    }
)
_LETTERS = "abcdefghij klmnopqrst uvwxyz, ABCDEFGH."
STRINGS = _text(
    {
        f"field_{number:02}": "".join(_random.choices(_LETTERS, k=20 + number * 3))
        for number in range(38)
    }
)
FLOATS = _text([_random.uniform(-180, 180) for _ in range(120)])
CYRILLIC = json.dumps(
    [
        {"имя": "Широкая электрификация", "text": 'line\n"two"\ttab', "note": "é ü ß"},
        {"имя": "южных губерний даст", "text": "C:\\temp\\new", "note": "мощный толчок 😀"},
    ]
    * 6,
    ensure_ascii=False,
)

DOCUMENTS = {
    "small": SMALL,
    "medium": MEDIUM,
    "strings": STRINGS,
    "floats": FLOATS,
    "cyrillic": CYRILLIC,
}
TINY_VALUE = {"a": 1}
VALUES = {"tiny": TINY_VALUE} | {name: json.loads(text) for name, text in DOCUMENTS.items()}
