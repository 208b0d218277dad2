"""Text of UUIDs, on both forms."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from asyncpg.pgproto.pgproto import UUID as AsyncpgUUID

from tests.fixtures.impl import Impl

TEXTS = [
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "01234567-89ab-cdef-0123-456789abcdef",
    "80000000-0000-0000-8000-000000000000",
    "00000000-0000-0000-0000-00000000000a",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", [uuid.UUID, AsyncpgUUID])
def test_uuid_text(impl: Impl, text: str, kind: type[uuid.UUID]) -> None:
    shown = impl.uuids.uuid_text(kind(text.upper()))
    assert shown == text == str(kind(text))
    assert type(shown) is str
    assert shown.isascii()


def test_none_stays_none(impl: Impl) -> None:
    assert impl.uuids.uuid_text(None) is None


def test_a_subclass_shows_itself(impl: Impl) -> None:
    class Key(uuid.UUID):
        def __str__(self) -> str:
            return "a key"

    assert impl.uuids.uuid_text(Key(TEXTS[0])) == "a key"


@pytest.mark.parametrize("value", ["text", 5, b"x", 1.5, [uuid.UUID(int=7)]], ids=repr)
def test_anything_else_is_shown_by_str(impl: Impl, value: Any) -> None:
    assert impl.uuids.uuid_text(value) == str(value)


@pytest.mark.parametrize("number", [1 << 128, 1 << 200, -1, True, None, 1.5], ids=repr)
def test_a_broken_uuid_is_shown_as_str_shows_it(impl: Impl, number: Any) -> None:
    broken = uuid.UUID(int=1)
    object.__setattr__(broken, "int", number)
    try:
        expected = str(broken)
    except TypeError as error:
        with pytest.raises(TypeError) as raised:
            impl.uuids.uuid_text(broken)
        assert str(raised.value) == str(error)
    else:
        assert impl.uuids.uuid_text(broken) == expected
