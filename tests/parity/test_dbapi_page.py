"""The Python in docs/dbapi.md runs as it stands there."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fixtures.pages import DOCS, blocks_of, run_blocks
from tests.fixtures.server import Server

PAGE = DOCS / "dbapi.md"


def test_the_page_runs(server: Server) -> None:
    assert len(blocks_of(PAGE)) == 1
    names: dict[str, Any] = {"dsn": server.text("postgresql")}
    asyncio.run(run_blocks(PAGE, names))
    assert names["pages"] == ["/"]
