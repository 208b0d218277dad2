"""Settings that a pooler refuses at startup: learnt by name, and made in each transaction."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from pgflight.options.startup import RefusedSettings, local_settings


@pytest.mark.parametrize(
    ("name", "value", "statement"),
    [
        ("statement_timeout", "5s", "SET LOCAL \"statement_timeout\" = '5s'"),
        ("DateStyle", "ISO, DMY", "SET LOCAL \"datestyle\" = 'ISO, DMY'"),
        ("my.var", "it's", "SET LOCAL \"my\".\"var\" = 'it''s'"),
        ("my.var", "a\\'b", "SET LOCAL \"my\".\"var\" =  E'a\\\\''b'"),
        ("search_path", "", "SET LOCAL \"search_path\" = ''"),
        ("search_path", 'A, "B""b, c" ,d', "SET LOCAL \"search_path\" = 'a', 'B\"b, c', 'd'"),
        ('x"; DROP', "1", 'SET LOCAL "x""; drop" = \'1\''),
    ],
)
def test_a_setting_is_made_for_the_transaction(name: str, value: str, statement: str) -> None:
    assert local_settings({name: value}) == (statement,)


def test_only_what_is_refused_and_was_given_is_left_out() -> None:
    refuses = {"geqo": "", "jit": " in options"}
    asked: list[dict[str, str]] = []

    async def creator(**arguments: Any) -> str:
        settings = arguments["server_settings"]
        asked.append(settings)
        for name, where in refuses.items():
            if name in settings:
                raise asyncpg.ProtocolViolationError(
                    f"unsupported startup parameter{where}: {name}"
                )
        if "other" in settings:
            raise asyncpg.ProtocolViolationError("unsupported startup parameter: replication")
        return "connected"

    async def connect(**settings: str) -> Any:
        return await refused.connect(creator, (), {"server_settings": settings})

    refused = RefusedSettings()
    given = {"geqo": "on", "jit": "off", "application_name": "me"}
    left = {"geqo": "on", "jit": "off"}
    assert asyncio.run(connect(**given)) == ("connected", left)
    assert (len(asked), asked[-1]) == (3, {"application_name": "me"})
    assert asyncio.run(connect(**given)) == ("connected", left)
    assert len(asked) == 4
    with pytest.raises(asyncpg.ProtocolViolationError, match="replication"):
        asyncio.run(connect(other="1"))
