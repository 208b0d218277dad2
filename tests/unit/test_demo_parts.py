"""The parts of the demonstration: data, digest, counting proxy, report and picture."""

from __future__ import annotations

import asyncio
import datetime
import io
import uuid
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from sqlalchemy.engine import make_url

from pgflight.cli.demo import chart, dataset
from pgflight.cli.demo.outcome import digest
from pgflight.cli.demo.report import BUILTIN, PGFLIGHT, Measurement, Report, show
from pgflight.cli.server.counted import upstream_of
from pgflight.cli.server.round_trips import RoundTripProxy, Upstream

DIFFERENT: list[object] = [
    None,
    "None",
    True,
    1,
    1.0,
    "1",
    Decimal(1),
    Decimal("1.0"),
    [1],
    (1,),
    [[1], []],
    [[], [1]],
    ["a", "b"],
    ["ab"],
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    {},
    [],
    float("nan"),
    datetime.date(2024, 1, 1),
    datetime.datetime(2024, 1, 1),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
    uuid.UUID(int=1),
    str(uuid.UUID(int=1)),
    "\udc80",
]


def test_digest_tells_values_apart() -> None:
    assert len({digest(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_digest_of_equal_values_is_equal() -> None:
    class DriverUUID(uuid.UUID):
        pass

    assert digest(DriverUUID(int=7)) == digest(uuid.UUID(int=7))
    assert [digest(value) for value in DIFFERENT] == [digest(value) for value in DIFFERENT]


def test_digest_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="a step returned object"):
        digest([object()])


@pytest.mark.parametrize("limit", [1, 50])
def test_dataset_is_bounded_and_consistent(limit: int) -> None:
    data = dataset.load(limit)
    tables = (data.countries, data.cities, data.airports)
    assert all(len(rows) <= limit for rows in tables)
    assert data.cities and data.visits <= limit
    kept = {row["code"] for row in data.countries}
    assert {row["country_code"] for row in data.cities + data.airports} <= kept


def test_whole_dataset() -> None:
    data = dataset.load()
    assert len(data.countries) > 200
    assert len(data.cities) > 30_000
    assert len(data.airports) > 25_000
    for rows, key in ((data.countries, "code"), (data.cities, "id"), (data.airports, "icao")):
        assert len({row[key] for row in rows}) == len(rows)


async def talk(upstream: Upstream, delay: float = 0.0) -> int:
    """Hold a known conversation through a proxy and return the round trips that it counted."""
    async with RoundTripProxy(upstream, delay=delay) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        for burst in (b"one\n", b"two\n"):
            writer.write(burst)
            assert await reader.readline() == burst
        writer.write(b"three, ")  # in two pieces, and one answer
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"still three\n")
        assert await reader.readline() == b"three, still three\n"
        writer.write(b"without an end, hence without an answer")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()
        await writer.wait_closed()
        return proxy.trips


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every line with itself, in two pieces."""
    while (line := await reader.readline()).endswith(b"\n"):
        writer.write(line[:1])
        await writer.drain()
        writer.write(line[1:])
    writer.close()


@pytest.mark.parametrize("delay", [0.0, 0.001])
def test_proxy_counts_over_tcp(delay: float) -> None:
    async def count() -> int:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            return await talk(Upstream("127.0.0.1", port), delay)

    assert asyncio.run(count()) == 3


def test_proxy_counts_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")

    async def count() -> int:
        async with await asyncio.start_unix_server(echo, path):
            return await talk(Upstream(path=path))

    assert asyncio.run(count()) == 3


def test_proxy_does_not_count_what_the_client_does_not_wait_for() -> None:
    async def count() -> int:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            async with RoundTripProxy(Upstream("127.0.0.1", port), delay=0.05) as proxy:
                reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                for _ in range(3):
                    writer.write(b"go\n")
                    await writer.drain()
                    await asyncio.sleep(0.005)
                for _ in range(3):
                    await reader.readline()
                writer.close()
                await writer.wait_closed()
                return proxy.trips

    assert asyncio.run(count()) == 1


def test_proxy_without_a_server_closes_the_connection() -> None:
    async def ask() -> bytes:
        async with RoundTripProxy(Upstream("127.0.0.1", 1)) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(ask()) == b""


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("host/d", Upstream("host", 5432)),
        ("u:p@host:6543/d", Upstream("host", 6543)),
        ("/d?host=/run/pg", Upstream(path="/run/pg/.s.PGSQL.5432")),
        ("/d?host=/run/pg&port=6543", Upstream(path="/run/pg/.s.PGSQL.6543")),
        ("/d?host=name&port=6543", Upstream("name", 6543)),
        ("/d?host=name:6543", Upstream("name", 6543)),
        ("/d?host=a:1&host=b:2", None),
        ("/d?host=a,b&port=1,2", None),
        ("/d", None),
    ],
)
def test_upstream_of_a_url(rest: str, expected: Upstream | None) -> None:
    assert upstream_of(make_url(f"postgresql+asyncpg://{rest}")) == expected


def made_up_report(*, counted: bool = True) -> Report:
    """Return a report of two steps and two rounds."""
    steps = [
        Measurement("first <step>", 10, {BUILTIN: [0.2, 0.4], PGFLIGHT: [0.1, 0.1]}),
        Measurement("second", 1234, {BUILTIN: [1.0, 1.0], PGFLIGHT: [2.0, 2.0]}),
    ]
    for step in steps:
        step.cpu_seconds = {side: [0.01, 0.03] for side in step.seconds}
    if counted:
        steps[0].round_trips = {BUILTIN: 40, PGFLIGHT: 10}
        steps[1].round_trips = {BUILTIN: 5, PGFLIGHT: 5}
    return Report(
        date="2024-02-29",
        server="PostgreSQL 18.1",
        cpu="A & B",
        versions={"python": "3.11", "sqlalchemy": "2.1", "asyncpg": "0.32", "pgflight": "0.1"},
        implementation="compiled",
        driver="private",
        rounds=2,
        row_limit=None,
        steps=steps,
        not_counted="" if counted else "no single host",
    )


def test_report_adds_up() -> None:
    report = made_up_report()
    assert report.steps[0].speedup == pytest.approx(3.0)
    total = report.total()
    assert total.rows == 1244
    assert total.seconds == {BUILTIN: [1.2, 1.4], PGFLIGHT: [2.1, 2.1]}
    assert total.cpu_seconds == {BUILTIN: [0.02, 0.06], PGFLIGHT: [0.02, 0.06]}
    assert total.round_trips == {BUILTIN: 45, PGFLIGHT: 15}
    plain = report.to_json()
    assert plain["steps"][0]["median_seconds"] == {BUILTIN: 0.3, PGFLIGHT: 0.1}
    assert plain["versions"]["asyncpg"] == "0.32"


@pytest.mark.parametrize("counted", [True, False])
def test_table_fits_a_terminal_of_80_columns(counted: bool) -> None:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        show(made_up_report(counted=counted), console)
    said = capture.get()
    assert "…" not in said
    assert "first <step>" in said and "3.00" in said and "0.50" in said
    assert ("trips" in said.split("together")[0]) is counted
    assert ("Round trips were not counted: no single host" in said) is not counted


@pytest.mark.parametrize("counted", [True, False])
def test_picture_is_well_formed_and_stays_inside(counted: bool) -> None:
    report = made_up_report(counted=counted)
    root = ElementTree.fromstring(chart.draw(report))
    width = float(root.attrib["width"])
    bars = [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if "x" in bar.attrib]
    # Two squares of the legend; two bars per step and the total, in one or two panels.
    assert len(bars) == 2 + 2 * 3 * (2 if counted else 1)
    assert all(float(bar.attrib["x"]) + float(bar.attrib["width"]) < width for bar in bars)
    said = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "first <step>" in said and "0.300" in said
    assert ("45" in said) is counted
    for condition in ("pgflight 0.1", "PostgreSQL 18.1", "A & B", "2024-02-29"):
        assert any(condition in line for line in said)
