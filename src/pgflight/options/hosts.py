"""The hosts and ports of a URL, in every spelling that libpq and SQLAlchemy know.

Used by :mod:`pgflight.options.url` and :mod:`pgflight.options.service_files`.  Spellings:
``host=h1:p1&host=h2:p2``, ``host=h1,h2&port=p1,p2``, ``host=h1:p1,h2:p2``, one port for all, no
port at all; host names, IPv4 and IPv6 addresses (in brackets where a port follows) and socket
directories.
"""

from __future__ import annotations

import ipaddress
import os
import random
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.exc import ArgumentError

ADDRESS_OPTIONS = frozenset({"host", "port", "hostaddr"})
"""The options that :func:`addresses` reads."""

_BRACKETS = re.compile(r"\[(?P<host>[^\]]*)\](?::(?P<port>[^:]*))?")
_NAME_AND_NUMBER = re.compile(r"(?P<host>[^/:]*):(?P<port>[0-9]*)")
_SOCKET_AND_NUMBER = re.compile(r"(?P<host>/[^:]*):(?P<port>[0-9]+)")

_SPELLINGS = '"host=h1,h2&port=p1,p2" or "host=h1:p1&host=h2:p2"'


class _Address(NamedTuple):
    host: str
    port: str | None


def addresses(
    query: Mapping[str, str | Sequence[str]], *, host: str | None = None, port: int | None = None
) -> dict[str, Any]:
    """Return asyncpg's ``host`` and ``port``, as far as they are given.

    ``query`` is searched for ``host``, ``port`` and ``hostaddr``; ``host`` and ``port`` are
    those before the query, which a host in the query replaces.  For several hosts without any
    port the result has no port: asyncpg then uses PGPORT, or 5432.  Raises ArgumentError.
    """
    hosts = _host_option(query, host)
    ports = _port_option(query.get("port"))
    if isinstance(hosts, tuple) and ports is not None:
        raise ArgumentError(
            f"Can't mix 'multihost' formats together: a host given more than once carries its "
            f"own port; use {_SPELLINGS}"
        )
    if not hosts:
        if ports is None:
            return {} if port is None else {"port": port}
        return {"port": _joined([""], ports)[0]}
    if isinstance(hosts, str):
        names = hosts.split(",")
        if ports is not None:
            stripped = [_without_brackets(name) for name in names]
            return _result(stripped, _joined(names, ports), port)
        found = [_address(name, alone=len(names) == 1) for name in names]
    else:
        found = [_repeated(name) for name in hosts]
    own_ports = _numbers([address.port for address in found])
    own_port_given = host is not None and "host" not in query and "," in host and port is not None
    if own_port_given:  # postgresql://h1,h2:5433/: libpq gives the port to the last one only
        own_ports[-1] = port
        port = None
    return _result([address.host for address in found], own_ports, port)


def shuffled(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``arguments`` with their hosts, and ports beside them, in a random order."""
    hosts, ports = arguments.get("host"), arguments.get("port")
    if not isinstance(hosts, (list, tuple)):
        return dict(arguments)
    order = random.sample(range(len(hosts)), len(hosts))
    mixed = {**arguments, "host": [hosts[i] for i in order]}
    if isinstance(ports, (list, tuple)) and len(ports) == len(hosts):
        mixed["port"] = [ports[i] for i in order]
    return mixed


def only_sockets(arguments: Mapping[str, Any]) -> bool:
    """Tell whether every host is a socket directory, where TLS is not used."""
    hosts = arguments.get("host")
    if not hosts or arguments.get("dsn"):
        return False
    several = [hosts] if isinstance(hosts, str) else hosts
    return all(host.startswith("/") for host in several)


def count_hosts(arguments: Mapping[str, Any]) -> int:
    """Return how many hosts asyncpg is to try with ``arguments``, as far as they or PGHOST tell."""
    hosts = arguments.get("host") or os.environ.get("PGHOST") or ""
    if isinstance(hosts, (list, tuple)):
        return max(len(hosts), 1)
    return str(hosts).count(",") + 1


def host_from_address(host: object, hostaddr: str) -> str | list[str]:
    """Return ``hostaddr`` as asyncpg's host; raise ArgumentError where ``host`` is given, too.

    libpq connects to the address and verifies the name; asyncpg has a single name for both.
    """
    if host:
        raise ArgumentError(
            f"hostaddr={hostaddr!r} beside host={host!r} is not supported: asyncpg connects to "
            "the name that it verifies; leave hostaddr out"
        )
    found = hostaddr.split(",")
    for address in found:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ArgumentError(
                f"hostaddr={hostaddr!r} is not valid: {address!r} is not an IP address; write a "
                "name as host"
            ) from None
    return found[0] if len(found) == 1 else found


def _host_option(
    query: Mapping[str, str | Sequence[str]], host: str | None
) -> str | tuple[str, ...] | None:
    given = query.get("host")
    hostaddr = query.get("hostaddr")
    if hostaddr is not None:
        text = hostaddr if isinstance(hostaddr, str) else ",".join(hostaddr)
        return ",".join(_as_list(host_from_address(given or host, text)))
    if given is None:
        # SQLAlchemy does not decode %2Fvar%2Frun%2Fpostgresql
        return host and urllib.parse.unquote(host)
    return given if isinstance(given, str) else tuple(given)


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _port_option(given: str | Sequence[str] | None) -> list[str] | None:
    if not given:
        return None
    return given.split(",") if isinstance(given, str) else list(given)


def _without_brackets(name: str) -> str:
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def _address(name: str, *, alone: bool) -> _Address:
    if name.startswith("/") or _is_ipv6(name):
        return _Address(name, None)
    match = _BRACKETS.fullmatch(name) or _NAME_AND_NUMBER.fullmatch(name)
    if match:
        return _Address(match["host"], match["port"])
    if alone or ":" not in name:  # one host with a colon and no number may be anything
        return _Address(name, None)
    before, _, after = name.partition(":")
    return _Address(before, after)


def _repeated(name: str) -> _Address:
    match = _SOCKET_AND_NUMBER.fullmatch(name)
    return _Address(match["host"], match["port"]) if match else _address(name, alone=False)


def _is_ipv6(name: str) -> bool:
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return True


def _numbers(ports: Sequence[str | None]) -> list[int | None]:
    try:
        numbers = [int(port) if port else None for port in ports]
    except ValueError:
        shown = tuple(port or "" for port in ports)
        raise ArgumentError(
            f"Received non-integer port arguments: {shown}; a port is a number between 1 and 65535"
        ) from None
    for number in numbers:
        if number is not None and not 0 < number < 65536:
            raise ArgumentError(f"port {number} does not exist; use one between 1 and 65535")
    return numbers


def _joined(names: Sequence[str], ports: Sequence[str]) -> list[int | None]:
    numbers = _numbers(ports)
    if len(numbers) == 1:
        return numbers * len(names)
    if len(numbers) != len(names):
        raise ArgumentError(
            f"number of hosts and ports don't match: {len(names)} and {len(numbers)}; "
            "give one port for each host, or one for all"
        )
    return numbers


def _result(names: Sequence[str], ports: Sequence[int | None], port: int | None) -> dict[str, Any]:
    if len(names) == 1:
        single = ports[0] or port
        return {"host": names[0]} | ({} if single is None else {"port": single})
    if not all(names):
        raise ArgumentError(
            "All hosts are required to be present for asyncpg multiple host URL; "
            f"name each one: {_SPELLINGS}"
        )
    if not any(ports):
        return {"host": list(names)} | ({} if port is None else {"port": [port] * len(names)})
    if not all(ports):
        raise ArgumentError(
            "All ports are required to be present for asyncpg multiple host URL, or none, or one "
            f"for all; write {_SPELLINGS}"
        )
    return {"host": list(names), "port": list(ports)}
