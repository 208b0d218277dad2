"""What to do about a connection that cannot be made: one sentence for each way to be refused.

The error's own text says what happened; what is added names the host, the part of the URL or the
setting of the server that has to change.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

from pgflight.cli.target import one_line

LOST = frozenset(("silent", "not listening", "network", "host", "socket", "starting"))
"""Kinds of refusals after which there is nobody to be asked more."""


class Refusal(NamedTuple):
    """Why a connection could not be made: a word for programs, and what to do for people."""

    kind: str
    fix: str


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, the driver's inside it, and all that they were raised from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        orig = each.orig if isinstance(each, DBAPIError) else None
        for inner in (orig, each.__cause__, each.__context__):
            if inner is not None:
                waiting.append(inner)


def sqlstate_of(error: BaseException) -> str | None:
    """Return the server's code for an error, None if it does not come from a server."""
    for each in causes(error):
        found = getattr(each, "sqlstate", None)
        if isinstance(found, str):
            return found
    return None


def explained(error: BaseException, url: URL) -> tuple[str, str]:
    """Return a word for what refused the connection, and a line that says why and what to do."""
    refusal = refusal_of(error, url)
    said = one_line(error)
    return refusal.kind, f"{said}. {refusal.fix}" if refusal.fix else said


def refusal_of(error: BaseException, url: URL) -> Refusal:
    """Return what to do about an error that a connection to `url` has ended with."""
    if any(isinstance(each, ArgumentError) for each in causes(error)):
        return Refusal("option", "")  # its text says what to change
    state = sqlstate_of(error)
    if state is not None:
        find = _BY_SQLSTATE.get(state) or _by_text
        return find(one_line(error), url)
    return _of_the_network(error, url)


def where(url: URL) -> str:
    """Return the host and port of a URL for people; asyncpg's defaults where it has none."""
    several = url.query.get("host")
    if several:
        return several if isinstance(several, str) else ", ".join(several)
    if url.host is None:
        return "the default socket or localhost, as the URL names no host"
    return f"host {url.host!r}, port {url.port or 5432}"


def _of_the_network(error: BaseException, url: URL) -> Refusal:
    found = list(causes(error))
    texts = " ".join(str(each) for each in found)
    place = where(url)
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in found):
        return Refusal(
            "certificate",
            f"The certificate of {place} was not accepted: name the file of the authority that"
            " signed it (sslrootcert=/path/root.crt, or sslrootcert=system for a public one), and"
            " write the host as the certificate has it",
        )
    if any(isinstance(each, ssl.SSLError) for each in found):
        return Refusal("tls", f"TLS with {place} failed: is that the port of a PostgreSQL server?")
    if "rejected SSL upgrade" in texts:
        return Refusal(
            "tls off",
            f"The server at {place} does not speak TLS, and the URL asks for it: turn it on there"
            " (ssl = on), or leave sslmode and ssl out of the URL if nobody can listen in between",
        )
    if any(isinstance(each, socket.gaierror) for each in found):
        return Refusal(
            "host",
            f"No address is known for {place.partition(', port')[0]}: is the name spelt right,"
            " does this machine ask the right DNS (VPN, private network), and is it, in Docker, the"
            " name of the service?",
        )
    if any(isinstance(each, asyncio.TimeoutError) for each in found):
        return Refusal(
            "silent",
            f"{place} does not answer: a firewall or security group that drops packets, or the"
            " wrong host or port; from this machine the port must be open",
        )
    if any(isinstance(each, FileNotFoundError) for each in found):
        return Refusal(
            "socket",
            f"There is no server's socket at {place}: is the server running, and is"
            " unix_socket_directories that directory?",
        )
    if any(isinstance(each, ConnectionRefusedError) for each in found) or _all_refused(texts):
        return Refusal(
            "not listening",
            f"Nobody listens at {place}: is the server running, is that its port, and does it"
            " listen there (listen_addresses; in Docker, the published port)?",
        )
    if any(isinstance(each, (OSError, EOFError)) for each in found) or "connection was" in texts:
        return Refusal("network", f"Nothing that speaks PostgreSQL's protocol let us in at {place}")
    return Refusal("error", "")


def _all_refused(texts: str) -> bool:
    """Tell whether each address of a name refused, which asyncio tells as one plain OSError."""
    return "Multiple exceptions" in texts and "Connect call failed" in texts


def _password(said: str, url: URL) -> Refusal:
    given = url.password is not None or "password" in url.query
    fix = (
        "The server knows the password as another one, or the user not at all: check both; in a URL"
        " the characters @ : / ? # % of a password are written %40 %3A %2F %3F %23 %25"
        if given
        else "The URL has no password: write postgresql://user:password@host/database, or set"
        " PGPASSWORD"
    )
    return Refusal("password", fix)


def _authorization(said: str, url: URL) -> Refusal:
    if "no pg_hba.conf entry" in said:
        if "no encryption" in said or "SSL off" in said:
            return Refusal(
                "tls needed",
                "The server may let in only who encrypts, and this connection was without TLS:"
                " write sslmode=require in the URL (verify-full proves who the server is)",
            )
        return Refusal(
            "pg_hba",
            "The server's pg_hba.conf has no line for this user, database and address: whoever runs"
            " it has to add one, or allow this machine's address",
        )
    if "clear text" in said:
        return Refusal("cleartext", "")
    if "does not exist" in said:
        return Refusal("user", f"The URL names the user {url.username!r}: is that the right one?")
    return _password(said, url)


def _database(said: str, url: URL) -> Refusal:
    given = url.query.get("database") or url.query.get("dbname")
    name = given or url.database or url.username
    return Refusal("database", f"The URL names the database {name!r} behind its last /.")


def _too_many(said: str, url: URL) -> Refusal:
    return Refusal(
        "too many",
        "Every place of the server is taken: lower pool_size and max_overflow of the programs, or"
        " put a pooler in between, or raise max_connections",
    )


def _starting(said: str, url: URL) -> Refusal:
    return Refusal("starting", "The server is starting or shutting down: try again in a moment")


def _by_text(said: str, url: URL) -> Refusal:
    if "no such database" in said or "bouncer config error" in said:
        fix = (
            f"The pooler has no entry for the database {url.database!r} and the user"
            f" {url.username!r}: pgbouncer's is below [databases] in pgbouncer.ini, and its log"
            " says what is wrong with one that is there"
        )
        return Refusal("pooler", fix)
    if "no such user" in said or "password authentication failed" in said:
        return _password(said, url)
    if "TLS" in said or "SSL required" in said:
        return Refusal("tls needed", "Write sslmode=require in the URL")
    return Refusal("server", "")


_BY_SQLSTATE: dict[str, Callable[[str, URL], Refusal]] = {
    "28P01": _password,
    "28000": _authorization,
    "3D000": _database,
    "53300": _too_many,
    "57P03": _starting,
}

__all__ = ["LOST", "Refusal", "causes", "explained", "refusal_of", "sqlstate_of", "where"]
