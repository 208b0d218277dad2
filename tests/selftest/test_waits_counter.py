"""The counter of waits counts as its docstring says, with asyncpg alone; so does `messages`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tests.fixtures.messages import Messages
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server
from tests.fixtures.waits import Waits


async def connect(proxy: Proxy, server: Server) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=proxy.host,
        port=proxy.port,
        user=server.address.username,
        password=server.address.password,
        database=server.address.database,
        ssl=False,
    )


def counted(
    waits: Waits, server: Server, work: Callable[[asyncpg.Connection], Awaitable[object]]
) -> list[int]:
    """Return the waits of `work`, twice, on one connection."""

    async def main() -> list[int]:
        connection = await connect(waits.proxy, server)
        try:
            return [await waits.of(lambda: work(connection)) for _ in range(2)]
        finally:
            await connection.close()

    return asyncio.run(main())


def test_statements_and_transactions(waits: Waits, server: Server) -> None:
    async def work(connection: asyncpg.Connection) -> None:
        async with connection.transaction():
            assert await connection.fetchval("SELECT $1::int + 1", 41) == 42
            await connection.execute("SELECT 1; SELECT 2")

    assert counted(waits, server, work) == [5, 4]


def test_work_without_the_server_waits_for_nothing(waits: Waits, server: Server) -> None:
    async def work(connection: asyncpg.Connection) -> None:
        await asyncio.sleep(0.02)
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(50)))

    assert counted(waits, server, work) == [0, 0]


def test_a_large_answer_and_a_late_one_are_one_wait_each(waits: Waits, server: Server) -> None:
    async def large(connection: asyncpg.Connection) -> None:
        rows = await connection.fetch("SELECT i, repeat('x', 1000) FROM generate_series(1, 9000) i")
        assert len(rows) == 9000

    async def late(connection: asyncpg.Connection) -> None:
        # the first rows leave the server long before the last
        sleeper = "SELECT repeat('x', 9000), pg_sleep(0.02) FROM generate_series(1, 5)"
        assert len(await connection.fetch(sleeper)) == 5

    assert counted(waits, server, large) == [2, 1]
    assert counted(waits, server, late) == [2, 1]


def test_large_parameters_are_one_wait(waits: Waits, server: Server) -> None:
    value = bytes(range(256)) * 20_000

    async def work(connection: asyncpg.Connection) -> None:
        assert await connection.fetchval("SELECT length($1::bytea)", value) == len(value)

    assert counted(waits, server, work) == [2, 1]


def test_what_nobody_waits_for_is_none_and_is_collected_before_the_next(
    waits: Waits, server: Server
) -> None:
    async def main() -> list[int]:
        connection = await connect(waits.proxy, server)
        tasks: list[asyncio.Task[object]] = []

        async def left_behind() -> None:
            await connection.execute("SELECT 1")
            tasks.append(asyncio.ensure_future(connection.execute("SELECT 'left behind'")))
            await asyncio.sleep(0)

        async def awaited() -> None:
            await connection.execute("SELECT 1")

        counts = [await waits.of(left_behind), await waits.of(awaited)]
        assert await tasks[0] == "SELECT 1"
        await connection.close()
        return counts

    assert asyncio.run(main()) == [1, 1]


def test_two_connections_that_wait_together_wait_once(waits: Waits, server: Server) -> None:
    async def main() -> int:
        first, second = [await connect(waits.proxy, server) for _ in range(2)]

        async def together() -> None:
            await asyncio.gather(first.execute("SELECT 1"), second.execute("SELECT 2"))

        count = await waits.of(together)
        await first.close()
        await second.close()
        return count

    assert asyncio.run(main()) == 1


def test_a_connection_and_its_end(waits: Waits, server: Server) -> None:
    async def work() -> None:
        connection = await connect(waits.proxy, server)
        await connection.close()

    async def main() -> list[int]:
        return [await waits.of(work) for _ in range(2)]

    first, second = asyncio.run(main())
    # start-up and end; a password costs more
    assert first == second >= 2


def test_messages_are_read_off_the_wire(waits: Waits, server: Server) -> None:
    async def main() -> list[str]:
        connection = await connect(waits.proxy, server)
        assert waits.messages.take()[0].name == "Startup"
        await connection.execute("SELECT 'simple'")
        for number in range(2):
            await connection.fetchval("SELECT $1::text", str(number))
        assert waits.messages.unanswered == 0
        sent = waits.messages.take()
        await connection.close()
        assert [str(item) for item in waits.messages.take()] == ["Terminate"]
        assert [str(item) for item in sent if item.name in ("Query", "Parse")] == [
            "Query SELECT 'simple'",
            "Parse <stmt>|SELECT $1::text",
        ]
        return [item.name for item in sent]

    prepared = ["Parse", "Describe", "Flush"]
    executed = ["Bind", "Execute", "Sync"]
    assert asyncio.run(main()) == ["Query", *prepared, *executed, *executed]


def test_an_encrypted_connection_is_no_silent_gap(messages: Messages) -> None:
    messages.observe(1, "client", b"\0\0\0\x08\x04\xd2\x16\x2f")
    with pytest.raises(ValueError, match="encrypted"):
        messages.observe(1, "server", b"S")
