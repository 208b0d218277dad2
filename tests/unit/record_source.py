"""Real asyncpg Records without a PostgreSQL: a server of 60 lines that knows one answer.

Records cannot be made from Python, and the compiled path for them is what the tests of `rows`
have to reach. Only bigint and text columns are spoken, in binary.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

import asyncpg

Value = int | str | None
_OIDS = {int: 20, str: 25}


def records(columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> list[asyncpg.Record]:
    """Return `rows` as asyncpg decodes them; a column is typed by its first non-null value."""

    async def fetch() -> list[asyncpg.Record]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await _answer(reader, writer, columns, rows)
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()[:2]
            connection = await asyncpg.connect(
                host=host, port=port, user="nobody", database="none", ssl=False, timeout=10
            )
            try:
                return list(await connection.fetch("SELECT"))
            finally:
                await connection.close()

    return asyncio.run(fetch())


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


async def _answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    columns: Sequence[str],
    rows: Sequence[Sequence[Value]],
) -> None:
    """Speak the server's side of one connection until the client says goodbye."""
    ready = _message(b"Z", b"I")
    (startup,) = struct.unpack("!i", await reader.readexactly(4))
    await reader.readexactly(startup - 4)
    settings = {"server_version": "15.0", "client_encoding": "UTF8", "integer_datetimes": "on"}
    writer.write(_message(b"R", struct.pack("!i", 0)))
    for name, setting in settings.items():
        writer.write(_message(b"S", f"{name}\0{setting}\0".encode()))
    writer.write(_message(b"K", struct.pack("!ii", 1, 1)) + ready)

    data = b"".join(_message(b"D", _row(row)) for row in rows)
    replies = {
        b"P": _message(b"1", b""),
        b"D": _message(b"t", struct.pack("!h", 0)) + _message(b"T", _description(columns, rows)),
        b"B": _message(b"2", b""),
        b"E": data + _message(b"C", f"SELECT {len(rows)}\0".encode()),
        b"C": _message(b"3", b""),
        b"S": ready,
    }
    while (kind := await reader.readexactly(1)) != b"X":
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        await reader.readexactly(length - 4)
        writer.write(replies.get(kind, b""))


def _row(row: Sequence[Value]) -> bytes:
    body = struct.pack("!h", len(row))
    for value in row:
        if value is None:
            body += struct.pack("!i", -1)
            continue
        encoded = struct.pack("!q", value) if isinstance(value, int) else value.encode()
        body += struct.pack("!i", len(encoded)) + encoded
    return body


def _description(columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> bytes:
    body = struct.pack("!h", len(columns))
    for position, name in enumerate(columns):
        values = [row[position] for row in rows if row[position] is not None]
        oid = _OIDS[type(values[0])] if values else 25
        body += name.encode() + b"\0" + struct.pack("!ihihih", 0, 0, oid, -1, -1, 1)
    return body
