"""Hosts and ports of a URL, one or many, in every spelling."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from pgflight.options.hosts import shuffled
from pgflight.options.url import connect_arguments, prepare_connect_kwargs


def address(rest: str) -> dict[str, Any]:
    """Return host and port of a URL that ends in `rest`."""
    found = connect_arguments(make_url(f"postgresql+asyncpg://{rest}"))
    return {name: found[name] for name in ("host", "port") if name in found}


@pytest.mark.parametrize(
    ("rest", "host", "port"),
    [
        # as the built-in dialect
        ("/db?host=a:1&host=b:2", ["a", "b"], [1, 2]),
        ("/db?host=a,b&port=1,2", ["a", "b"], [1, 2]),
        ("fixed/db?host=a:1&host=b:2", ["a", "b"], [1, 2]),
        ("/db?host=/var/run:1&host=/tmp:2", ["/var/run", "/tmp"], [1, 2]),
        # no port at all: asyncpg's default
        ("/db?host=a&host=b", ["a", "b"], None),
        ("/db?host=a,b,c", ["a", "b", "c"], None),
        ("/db?host=a:&host=b:", ["a", "b"], None),
        # one port for all
        ("/db?host=a,b&port=5433", ["a", "b"], [5433, 5433]),
        (":5433/db?host=a,b", ["a", "b"], [5433, 5433]),
        (":5433/db?host=a&host=b", ["a", "b"], [5433, 5433]),
        # as libpq writes them
        ("/db?host=a:1,b:2", ["a", "b"], [1, 2]),
        ("u@a,b/db", ["a", "b"], None),
        ("u@a,b/db?port=1,2", ["a", "b"], [1, 2]),
        # IPv6
        ("[::1]:5433/db", "::1", 5433),
        ("/db?host=[::1]:5433", "::1", 5433),
        ("/db?host=[::1]", "::1", None),
        ("/db?host=::1", "::1", None),
        ("/db?host=fe80::1%25eth0", "fe80::1%eth0", None),
        ("/db?host=[::1]:1&host=[fe80::2]:2", ["::1", "fe80::2"], [1, 2]),
        ("/db?host=[::1],[::2]&port=1,2", ["::1", "::2"], [1, 2]),
        ("/db?host=[::1]:1,10.0.0.1:2", ["::1", "10.0.0.1"], [1, 2]),
        ("/db?host=::1&host=::2", ["::1", "::2"], None),
        # sockets
        ("/db?host=/var/run/postgresql", "/var/run/postgresql", None),
        ("/db?host=%2Fvar%2Frun%2Fpostgresql&port=5433", "/var/run/postgresql", 5433),
        ("u@%2Fvar%2Frun%2Fpostgresql/db", "/var/run/postgresql", None),
        ("/db?host=/var/run/postgresql,10.0.0.1", ["/var/run/postgresql", "10.0.0.1"], None),
        ("/db?host=/cloudsql/project:zone:name&host=b", ["/cloudsql/project:zone:name", "b"], None),
        # addresses instead of names
        ("/db?hostaddr=10.0.0.1", "10.0.0.1", None),
        ("/db?hostaddr=10.0.0.1,::1&port=1,2", ["10.0.0.1", "::1"], [1, 2]),
    ],
)
def test_addresses(rest: str, host: object, port: object) -> None:
    expected = {"host": host} | ({} if port is None else {"port": port})
    assert address(rest) == expected
    assert prepare_connect_kwargs(expected).kwargs == expected


@pytest.mark.parametrize(
    "rest",
    [
        "/db?host=a:1&host=b",
        "/db?host=a&host=b:2&host=c",
        "/db?host=a:1,b",
        "u@a,b:5433/db",
        "/db?host=a,b&port=1,",
        "/db?host=a,b,c&port=,2,3",
    ],
)
def test_some_ports_are_neither_all_nor_none(rest: str) -> None:
    with pytest.raises(
        ArgumentError,
        match=r"All ports are required to be present for asyncpg multiple host URL, or none, or one"
        r".*host=h1,h2&port=p1,p2",
    ):
        address(rest)


@pytest.mark.parametrize("rest", ["/db?host=a,b,&port=1,2,3", "/db?host=a,,b"])
def test_empty_host_among_several(rest: str) -> None:
    with pytest.raises(
        ArgumentError, match="All hosts are required to be present for asyncpg multiple host URL"
    ):
        address(rest)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("/db?host=a&host=b&port=1,2", "Can't mix 'multihost' formats together"),
        ("/db?host=a:1&host=b:2&port=1,2", "Can't mix 'multihost' formats together"),
        ("/db?host=a,b&port=1,2,3", "number of hosts and ports don't match: 2 and 3"),
        ("/db?host=a,b,c&port=1,2", "number of hosts and ports don't match"),
        ("/db?host=a&port=1,2", "number of hosts and ports don't match"),
        ("h/db?port=1,2", "number of hosts and ports don't match"),
        ("/db?host=a:1&host=b:xyz", r"Received non-integer port arguments: \('1', 'xyz'\)"),
        ("/db?host=a,b&port=1,xyz", "Received non-integer port arguments"),
        ("/db?host=a&port=xyz", r"Received non-integer port arguments: \('xyz',\)"),
        ("/db?host=a&port=65536", "port 65536 does not exist; use one between 1 and 65535"),
        ("/db?host=a:0&host=b:1", "port 0 does not exist"),
        ("a/db?hostaddr=10.0.0.1", "hostaddr='10.0.0.1' beside host='a' is not supported"),
        ("/db?host=a&hostaddr=10.0.0.1", "leave hostaddr out"),
        ("/db?hostaddr=localhost", "'localhost' is not an IP address; write a name as host"),
    ],
)
def test_errors(rest: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        address(rest)


def test_connect_args_replace_the_address() -> None:
    given = connect_arguments(make_url("postgresql+asyncpg://a:1/db"))
    assert prepare_connect_kwargs({**given, "host": ("x", "y"), "port": ("1", 2)}).kwargs == {
        "host": ["x", "y"],
        "port": [1, 2],
        "database": "db",
    }
    assert prepare_connect_kwargs({"hostaddr": "10.0.0.1"}).kwargs == {"host": "10.0.0.1"}
    with pytest.raises(ArgumentError, match="leave hostaddr out"):
        prepare_connect_kwargs({**given, "hostaddr": "10.0.0.1"})
    with pytest.raises(ArgumentError, match="port='many' in connect_args"):
        prepare_connect_kwargs({"port": "many"})


def test_load_balancing_keeps_each_port_with_its_host() -> None:
    given = connect_arguments(
        make_url("postgresql+asyncpg:///db?host=a:1&host=b:2&host=c:3&load_balance_hosts=random")
    )
    orders = set()
    for _ in range(200):
        kwargs = prepare_connect_kwargs(given).kwargs
        assert sorted(zip(kwargs["host"], kwargs["port"])) == [("a", 1), ("b", 2), ("c", 3)]
        orders.add(tuple(kwargs["host"]))
    assert len(orders) == 6
    assert given["host"] == ["a", "b", "c"]


def test_load_balancing_without_a_choice_changes_nothing() -> None:
    assert shuffled({"host": "a", "port": 1}) == {"host": "a", "port": 1}
    one_port = shuffled({"host": ["a", "b"], "port": 1})
    assert sorted(one_port["host"]) == ["a", "b"] and one_port["port"] == 1
    ordered = connect_arguments(
        make_url("postgresql+asyncpg:///db?host=a,b,c,d,e,f,g,h&load_balance_hosts=disable")
    )
    assert prepare_connect_kwargs(ordered).kwargs["host"] == list("abcdefgh")
