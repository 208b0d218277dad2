"""Converters of single values, on both forms."""

from __future__ import annotations

import uuid

from asyncpg.pgproto.pgproto import UUID as AsyncpgUUID

from tests.fixtures.impl import Impl


def test_uuid_text(impl: Impl) -> None:
    text = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert impl.converters.uuid_text(uuid.UUID(text.upper())) == text
    assert impl.converters.uuid_text(AsyncpgUUID(text.upper())) == text
    assert type(impl.converters.uuid_text(AsyncpgUUID(text))) is str
    assert impl.converters.uuid_text(None) is None
